package claims

import "github.com/millrace/millrace/testing/protocol/explore"

// explored is a scenario as a search sees the scenario.
func explored(s *Scenario, without rule, say func(string)) *explore.Model[world, action] {
	m := newModel(s, without)
	m.tell = say
	return &explore.Model[world, action]{
		Start: m.start(), Possible: m.possible, Do: m.do, Rest: m.checkQuiet, Broken: m.Broken,
	}
}
