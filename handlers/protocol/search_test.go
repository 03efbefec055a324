package protocol

import (
	"hash/maphash"
	"slices"
)

// result is what a search found.
type result struct {
	states  int
	quiet   int // states in which nothing more has to happen
	done    [deeds]int
	kinds   [len(kindNames)]bool // of records that were accepted
	broken  string
	actions []action // the shortest way there
	short   bool     // the limit came first
}

// search visits every state that can be reached, the nearest first, until a
// promise is broken or there are no more, or limit of them.
func search(s *scenario, without rule, limit int) result {
	m := newModel(s, without)
	var (
		found result
		seed  = maphash.MakeSeed()
		seen  = map[uint64]struct{}{}
		from  []step // how each state was reached, by its number
		now   []world
		next  []world
		list  []action
	)
	first := m.start()
	seen[maphash.Comparable(seed, first)] = struct{}{}
	from = append(from, step{})
	now = append(now, first)
	for base := 0; len(now) > 0; {
		next = next[:0]
		for i := range now {
			w := &now[i]
			var quiet bool
			list, quiet = m.possible(w, list[:0])
			if quiet {
				found.quiet++
				m.checkQuiet(w)
				if m.broken != "" {
					found.actions = way(from, base+i)
				}
			}
			for _, a := range list {
				if m.broken != "" {
					break
				}
				then := *w
				m.do(&then, a)
				found.done[a.deed]++
				if m.broken != "" {
					found.actions = append(way(from, base+i), a)
				}
				if then.log != w.log {
					found.kinds[m.records[m.entries[then.log].record].kind] = true
				}
				hash := maphash.Comparable(seed, then)
				if _, ok := seen[hash]; ok {
					continue
				}
				seen[hash] = struct{}{}
				from = append(from, step{int32(base + i), a})
				next = append(next, then)
			}
			if m.broken != "" || len(seen) > limit {
				found.states, found.broken, found.short = len(seen), m.broken, m.broken == ""
				return found
			}
		}
		base += len(now)
		now, next = next, now
	}
	found.states = len(seen)
	return found
}

// step is the last action before a state, and the state before it.
type step struct {
	before int32
	action action
}

func way(from []step, to int) (actions []action) {
	for ; to > 0; to = int(from[to].before) {
		actions = append(actions, from[to].action)
	}
	slices.Reverse(actions)
	return actions
}

// tell says what happens on a way.
func tell(s *scenario, without rule, actions []action, say func(string)) {
	m := newModel(s, without)
	w := m.start()
	m.say = say
	for _, a := range actions {
		m.do(&w, a)
	}
}
