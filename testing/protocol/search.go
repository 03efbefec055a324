package protocol

import "github.com/millrace/millrace/testing/protocol/explore"

// result is the result of a search.
type result struct {
	explore.Result[action]
	done  [deeds]bool // deeds that happened
	kinds [kinds]bool // of accepted records
}

// search visits the worlds that a scenario can reach.
func search(s *Scenario, without rule, limit int) (found result) {
	m := newModel(s, without)
	found.Result = explore.Search(&explore.Model[world, action]{
		Start:    m.start(),
		Possible: m.possible,
		Do:       m.do,
		Rest:     m.checkQuiet,
		Broken:   func() string { return m.broken },
		Done: func(before, then *world, a action) {
			found.done[a.deed] = true
			if then.log != before.log {
				found.kinds[m.records[m.entries[then.log].record].kind] = true
			}
		},
	}, limit)
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
