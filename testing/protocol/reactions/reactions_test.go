package reactions

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
	{notes: 1, panics: 1},
	{takeOvers: 1, panics: 1},
	{crashes: 1, failures: 1, notes: 1},
	{crashes: 1, panics: 1, skips: 1},
	{failures: 1, panics: 1},
}

func (f faults) String() string {
	return exploretest.Text([]exploretest.Fault{
		{Times: f.takeOvers, What: "take-over"}, {Times: f.crashes, What: "crash"}, {Times: f.failures, What: "failed send"},
		{Times: f.panics, What: "panic"}, {Times: f.skips, What: "skip"}, {Times: f.notes, What: "note"},
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
	{fenced, "the target knows no repetitions", "one target", faults{takeOvers: 1}, once},
	{openApart, "the target forgets open causes", "a cause fails", faults{panics: 1}, nothingLost},
	{openBehind, "the target takes every command of an open cause", "a cause fails", faults{panics: 1}, once},
	{named, "commands don't name the open cause streams", "a cause fails", faults{panics: 1}, nothingLost},
	{namedUntil, "… once an operator has retried the cause", "a cause fails", faults{panics: 1}, nothingLost},
	{inTurn, "don't wait for the acknowledgement of the command before", "one target", faults{failures: 1}, nothingLost},
	{sentAgain, "skip a failed send", "one target", faults{failures: 1}, nothingLost},
	{answered, "note a cause as answered once its commands are on their way", "one target", faults{crashes: 1, notes: 1}, nothingLost},
	{noted, "begin at the group's offset", "a cause fails", faults{takeOvers: 1, panics: 1}, nothingLost},
	{unchanged, "a note of progress counts although its writer knew an older state", "one stream", faults{takeOvers: 2, panics: 1, notes: 1}, nothingLost},
	{goBack, "don't go back when a cause stream is no longer open", "a cause fails", faults{panics: 1}, nothingLost},
	{startNoted, "start where the process sees the log's end", "a new reaction", faults{takeOvers: 1}, notBefore},
	{gated, "answer every record", "copies in the log", faults{}, once},
	{folded, "ask the gate with today's heads", "copies in the log", faults{}, nothingLost},
	{parkEarlier, "pass over a cause that fails before the parked one", "two causes of a stream fail", faults{crashes: 1, panics: 2}, nothingLost},
	{fromHeads, "from the heads back, of equal digests the first since the process began", "copies in the log", faults{crashes: 1, notes: 1}, once},
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
	{forgetClosed, "the target never forgets a cause stream that was open (space)"},
	{foldFirst, "begin before the reaction's stream is read (speed: an old note is before the newest, and repeats more)"},
}

func TestSomeRulesAreForSpeed(t *testing.T) {
	table := exploretest.NewTable(t)
	for _, mutant := range unneeded {
		for _, name := range []string{"one stream", "a cause fails", "a new reaction"} {
			s, f, limit := scenarioOf(t, name), faults{takeOvers: 1, panics: 1}, exploretest.Limit(everydayLimit)
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
