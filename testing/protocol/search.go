package protocol

import (
	"hash/maphash"
	"slices"
)

// result is the result of a search.
type result struct {
	states int
	quiet  int         // states in which nothing must happen any more
	done   [deeds]bool // deeds that happened
	kinds  [kinds]bool // of accepted records
	broken string      // the broken promise and the reason, "" if all promises hold
	way    []action    // the shortest way there
	cut    bool        // the search gave up at the limit
}

// search visits every world that a scenario can reach, the nearest worlds
// first, until a promise is broken, all worlds are visited, or limit worlds are
// visited. A hash of 64 bits stands for a world: two of 10 million worlds have
// the same hash with a chance of 1 in 300,000.
func search(s *Scenario, without rule, limit int) (found result) {
	type step struct {
		before int32 // the world's number
		action action
	}
	var (
		m         = newModel(s, without)
		seed      = maphash.MakeSeed()
		first     = m.start()
		seen      = map[uint64]struct{}{maphash.Comparable(seed, first): {}}
		steps     = []step{{}} // by the number of the world they lead to
		now, next = []world{first}, []world{}
		actions   []action
		quiet     bool
	)
	for number := 0; len(now) > 0; now, next = next, now[:0] {
		for _, w := range now {
			actions, quiet = m.possible(&w, actions[:0])
			if quiet {
				found.quiet++
				m.checkQuiet(&w)
			}
			var last []action
			for _, a := range actions {
				if m.broken != "" {
					break
				}
				then := w
				m.do(&then, a)
				last = append(last[:0], a)
				found.done[a.deed] = true
				if then.log != w.log {
					found.kinds[m.records[m.entries[then.log].record].kind] = true
				}
				hash := maphash.Comparable(seed, then)
				if _, known := seen[hash]; !known {
					seen[hash] = struct{}{}
					steps = append(steps, step{int32(number), a})
					next = append(next, then)
				}
			}
			if m.broken != "" {
				found.broken, found.way = m.broken, last
				for ; number > 0; number = int(steps[number].before) {
					found.way = append(found.way, steps[number].action)
				}
				slices.Reverse(found.way)
			}
			if found.states = len(seen); m.broken != "" || found.states >= limit {
				found.cut = m.broken == ""
				return found
			}
			number++
		}
	}
	return found
}

// tell says what happens on a way.
func tell(s *Scenario, without rule, way []action, say func(string)) {
	m := newModel(s, without)
	w := m.start()
	m.say = say
	for _, a := range way {
		m.do(&w, a)
	}
}
