package reactions

import (
	"math/rand/v2"

	"github.com/millrace/millrace/testing/protocol/fence"
)

// Sends goes a random way through a scenario, the same way for the same seed,
// and returns the commands that come to each target, in order: repetitions and
// late sends are among them. No operator skips a cause: a late command of such a
// cause may end nowhere.
func Sends(seed uint64) (to [targets][]fence.Command) {
	luck := rand.New(rand.NewPCG(seed, 0))
	list := scenarios()
	s := *list[luck.IntN(len(list))]
	s.faults = faults{takeOvers: 2, crashes: 1, failures: 2, panics: 2, notes: 2}
	m := newModel(&s, 0)
	m.landed = func(target uint8, c fence.Command) { to[target] = append(to[target], c) }
	w := m.start()
	for {
		actions, quiet := m.possible(&w, nil)
		if quiet || len(actions) == 0 {
			return to
		}
		a := actions[luck.IntN(len(actions))]
		if rare := a.deed == begins || a.deed == crashes; rare && w.owner != 0 && luck.IntN(6) > 0 {
			continue
		}
		m.do(&w, a)
	}
}
