package reactions

import (
	"cmp"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/testing/protocol/explore"
)

var deep = flag.Bool("deep", false, "search every scenario with all its faults at once: minutes, and some gigabytes of memory")

const (
	everydayLimit = 60_000 // states of one search
	deepLimit     = 10_000_000
)

var everyday = []faults{
	{notes: 1, panics: 1},
	{takeOvers: 1, panics: 1},
	{crashes: 1, failures: 1, notes: 1},
	{crashes: 1, panics: 1, skips: 1},
	{failures: 1, panics: 1},
}

func (f faults) String() string {
	var list []string
	for _, each := range []struct {
		n    uint8
		what string
	}{
		{f.takeOvers, "take-over"}, {f.crashes, "crash"}, {f.failures, "failed send"}, {f.panics, "panic"}, {f.skips, "skip"},
		{f.notes, "note"},
	} {
		switch {
		case each.n == 1:
			list = append(list, each.what)
		case each.n > 1:
			list = append(list, fmt.Sprintf("%d %ss", each.n, each.what))
		}
	}
	return cmp.Or(strings.Join(list, ", "), "no faults")
}

func look(s *Scenario, f faults, without rule, limit int) (explore.Result[action], string) {
	copied := *s
	copied.faults = f
	began := time.Now()
	m := newModel(&copied, without)
	r := explore.Search(&explore.Model[world, action]{
		Start: m.start(), Possible: m.possible, Do: m.do, Rest: m.checkQuiet, Broken: func() string { return m.broken },
	}, limit)
	states := fmt.Sprintf("%d", r.States)
	if r.Cut {
		states = "the nearest " + states
	}
	return r, fmt.Sprintf("%-26s %-42s %20s states %8s", s.Name, f, states, time.Since(began).Round(time.Millisecond))
}

// tell says what happens on a way.
func tell(t *testing.T, s *Scenario, f faults, without rule, way []action) {
	copied := *s
	copied.faults = f
	m := newModel(&copied, without)
	w := m.start()
	m.tell = func(text string) { t.Log("  ", text) }
	for _, a := range way {
		m.do(&w, a)
	}
}

func TestPromisesHold(t *testing.T) {
	var table []string
	for _, s := range scenarios() {
		searches, limit := everyday, everydayLimit
		if *deep {
			searches, limit = []faults{s.faults}, deepLimit
		}
		for _, f := range searches {
			r, row := look(s, f, 0, limit)
			if r.Broken != "" {
				t.Errorf("%s: %s", s.Name, r.Broken)
				tell(t, s, f, 0, r.Way)
				continue
			}
			if r.Quiet == 0 && !r.Cut {
				t.Errorf("%s with %s: nothing ever comes to an end", s.Name, f)
			}
			table = append(table, row+"  all promises hold")
		}
	}
	t.Log("\n" + strings.Join(table, "\n"))
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
	{fromHeads, "from the heads back, of equal digests the first since the process began", "copies in the log", faults{crashes: 1, notes: 1}, once},
}

func TestEachRuleIsNeeded(t *testing.T) {
	var table []string
	for _, mutant := range mutants {
		s := scenarioOf(t, mutant.scenario)
		r, row := look(s, mutant.faults, mutant.rule, everydayLimit)
		if !strings.HasPrefix(r.Broken, mutant.breaks+":") {
			t.Errorf("%s (%s): broken is %q after %d states, want %q", mutant.what, row, r.Broken, r.States, mutant.breaks)
			continue
		}
		table = append(table, fmt.Sprintf("%-68s %s  after %2d steps breaks: %s", mutant.what, row, len(r.Way), mutant.breaks))
		t.Logf("%s\n  broken is %s", mutant.what, r.Broken)
		tell(t, s, mutant.faults, mutant.rule, r.Way)
	}
	t.Log("\n" + strings.Join(table, "\n"))
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
	var table []string
	for _, mutant := range unneeded {
		for _, name := range []string{"one stream", "a cause fails", "a new reaction"} {
			s, f := scenarioOf(t, name), faults{takeOvers: 1, panics: 1}
			limit := everydayLimit
			if *deep {
				f, limit = s.faults, deepLimit
			}
			r, row := look(s, f, mutant.rule, limit)
			if r.Broken != "" {
				t.Errorf("%s: the rule is needed after all: %s", mutant.what, r.Broken)
				tell(t, s, f, mutant.rule, r.Way)
			}
			table = append(table, row+"  "+mutant.what)
		}
	}
	t.Log("\n" + strings.Join(table, "\n"))
}

func scenarioOf(t *testing.T, name string) *Scenario {
	t.Helper()
	for _, s := range scenarios() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return nil
}
