package protocol

import "github.com/millrace/millrace/testing/protocol/explore"

// seen is all that happened in searches.
type seen struct {
	deeds [deeds]bool
	kinds [kinds]bool // of accepted records
}

// explored is a scenario as a search sees the scenario.
func explored(s *Scenario, without rule, seen *seen, say func(string)) *explore.Model[world, action] {
	m := newModel(s, without)
	m.say = say
	return &explore.Model[world, action]{
		Start:    m.start(),
		Possible: m.possible,
		Do:       m.do,
		Rest:     m.checkQuiet,
		Broken:   m.Broken,
		Done: func(before, then *world, a action) {
			seen.deeds[a.deed] = true
			if then.log != before.log {
				seen.kinds[m.records[m.entries[then.log].record].kind] = true
			}
		},
	}
}
