// Package explore visits every world that a model can reach, the nearest worlds
// first.
package explore

import (
	"hash/maphash"
	"slices"
)

// Model is a world, and all that can happen to the world. W has no padding,
// because a search hashes worlds most of the time.
type Model[W comparable, A any] struct {
	Start W
	// Possible appends all actions that can happen next. A world is quiet when
	// nothing must happen any more.
	Possible func(w *W, list []A) (all []A, quiet bool)
	// Do carries an action out.
	Do func(w *W, a A)
	// Rest checks a quiet world.
	Rest func(w *W)
	// Broken returns the broken promise and the reason, "" while all promises
	// hold.
	Broken func() string
	// Done hears of each action and its worlds, if not nil.
	Done func(before, then *W, a A)
}

// Result is the result of a search.
type Result[A any] struct {
	States int
	Quiet  int    // states in which nothing must happen any more
	Broken string // the broken promise and the reason, "" if all promises hold
	Way    []A    // the shortest way to the broken promise
	Cut    bool   // the search gave up at the limit
}

// Search visits worlds until a promise is broken, all worlds are visited, or
// limit worlds are visited. A hash of 64 bits stands for a world: two of 10
// million worlds have the same hash with a chance of 1 in 300,000.
func Search[W comparable, A any](m *Model[W, A], limit int) (found Result[A]) {
	type step struct {
		before int32 // the world's number
		action A
	}
	var (
		seed      = maphash.MakeSeed()
		seen      = map[uint64]struct{}{maphash.Comparable(seed, m.Start): {}}
		steps     = []step{{}} // by the number of the world they lead to
		now, next = []W{m.Start}, []W{}
		actions   []A
		quiet     bool
	)
	for number := 0; len(now) > 0; now, next = next, now[:0] {
		for _, w := range now {
			actions, quiet = m.Possible(&w, actions[:0])
			if quiet {
				found.Quiet++
				m.Rest(&w)
			}
			var last []A
			for _, a := range actions {
				if m.Broken() != "" {
					break
				}
				then := w
				m.Do(&then, a)
				last = append(last[:0], a)
				if m.Done != nil {
					m.Done(&w, &then, a)
				}
				hash := maphash.Comparable(seed, then)
				if _, known := seen[hash]; !known {
					seen[hash] = struct{}{}
					steps = append(steps, step{int32(number), a})
					next = append(next, then)
				}
			}
			broken := m.Broken()
			if broken != "" {
				found.Broken, found.Way = broken, last
				for ; number > 0; number = int(steps[number].before) {
					found.Way = append(found.Way, steps[number].action)
				}
				slices.Reverse(found.Way)
			}
			if found.States = len(seen); broken != "" || found.States >= limit {
				found.Cut = broken == ""
				return found
			}
			number++
		}
	}
	return found
}
