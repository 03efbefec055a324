package claims

import (
	"testing"

	"github.com/millrace/millrace/testing/protocol/explore"
	"github.com/millrace/millrace/testing/protocol/explore/exploretest"
)

const (
	everydayLimit = 60_000 // states of one search
	deepLimit     = 10_000_000
)

// everyday are the faults of the searches in every run of the tests.
var everyday = []faults{
	{},
	{takeOvers: 1},
	{takeOvers: 1, resets: 1},
	{crashes: 1, resets: 1},
	{failures: 1},
}

func (f faults) String() string {
	return exploretest.Text([]exploretest.Fault{
		{Times: f.takeOvers, What: "take-over"}, {Times: f.crashes, What: "crash"}, {Times: f.failures, What: "failed send"},
		{Times: f.resets, What: "reset"},
	}...)
}

// look searches a scenario with these faults.
func look(s *Scenario, f faults, without rule, limit int) exploretest.Trial {
	copied := *s
	copied.faults = f
	return exploretest.Try(s.Name, f.String(), limit, func(say func(string)) *explore.Model[world, action] {
		return explored(&copied, without, say)
	})
}

func TestPromisesHold(t *testing.T) {
	table := exploretest.NewTable(t)
	for _, s := range scenarios() {
		searches, limit := everyday, exploretest.Limit(everydayLimit)
		if *exploretest.Deep {
			searches, limit = []faults{s.faults}, deepLimit
		}
		for _, f := range searches {
			table.Holds(look(s, f, 0, limit))
		}
	}
}

// mutants leave out a rule each, in a scenario where the loss breaks a promise.
var mutants = []struct {
	rule     rule
	what     string
	scenario string
	faults   faults
	breaks   string
}{
	{takeFirst, "take nothing first", "racers", faults{}, unique},
	{queueBehind, "decide later commands while a command waits", "to and fro", faults{}, inOrder},
	{waitAnswer, "take, and go on without an answer", "racers", faults{}, unique},
	{fenced, "takes and give-backs without a fence", "the second is taken", faults{crashes: 1, resets: 1}, unique},
	{oneOwner, "take what another stream holds", "racers", faults{}, unique},
	{giveBack, "keep the claims of values that the state no longer has", "to and fro", faults{}, notForever},
	{giveTaken, "keep what was taken for a command that ends otherwise", "parked, dropped", faults{}, notForever},
	{parkedKeeps, "give back what a parked command has taken", "parked, requeued", faults{}, unique},
	{sorted, "take several values in any order", "two values", faults{}, oneSucceeds},
	{answered, "note a record as answered once its commands are on their way", "racers", faults{takeOvers: 1}, nothingLost},
}

func TestEachRuleIsNeeded(t *testing.T) {
	table := exploretest.NewTable(t)
	for _, mutant := range mutants {
		s := scenarioOf(t, mutant.scenario)
		table.Needs(mutant.what, mutant.breaks, look(s, mutant.faults, mutant.rule, everydayLimit))
	}
}

// unneeded are rules that break no promise when left out.
var unneeded = []struct {
	rule rule
	what string
}{
	{ownSucceeds, "refuse a take of the stream that holds the value (the fence, and the order of sends, let no such take come)"},
	{ownerGives, "give back for anybody (likewise)"},
}

func TestSomeRulesAreForSafety(t *testing.T) {
	table := exploretest.NewTable(t)
	for _, mutant := range unneeded {
		for _, name := range []string{"to and fro", "parked, requeued", "the second is taken"} {
			s, f, limit := scenarioOf(t, name), faults{takeOvers: 1, resets: 1}, exploretest.Limit(everydayLimit)
			if *exploretest.Deep {
				f, limit = s.faults, deepLimit
			}
			table.Spares(mutant.what, look(s, f, mutant.rule, limit))
		}
	}
}

func scenarioOf(t *testing.T, name string) *Scenario {
	t.Helper()
	return exploretest.Find(t, scenarios(), name, func(s *Scenario) string { return s.Name })
}
