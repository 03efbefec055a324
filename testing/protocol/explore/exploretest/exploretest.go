// Package exploretest has the tests that all models share: the promises hold,
// each rule is needed, and some rules are not.
package exploretest

import (
	"cmp"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/testing/protocol/explore"
)

// Deep says that each search goes to the end of its scenario.
var Deep = flag.Bool("deep", false, "search every scenario with all its faults at once: minutes, and some gigabytes of memory")

// Limit returns the number of states that a search may visit in a run of all
// tests: fewer with -short, which runs with the race detector have.
func Limit(states int) int {
	if testing.Short() {
		return states / 4
	}
	return states
}

// Fault is how often a fault may happen.
type Fault struct {
	Times uint8
	What  string
}

// Text returns the faults that may happen, in words.
func Text(faults ...Fault) string {
	var list []string
	for _, f := range faults {
		switch {
		case f.Times == 1:
			list = append(list, f.What)
		case f.Times > 1:
			list = append(list, fmt.Sprintf("%d %ss", f.Times, f.What))
		}
	}
	return cmp.Or(strings.Join(list, ", "), "no faults")
}

// Trial is a search that was made.
type Trial struct {
	States, Quiet, Steps int
	Cut                  bool
	Broken               string                 // the broken promise and the reason
	Row                  string                 // of a table
	Tell                 func(say func(string)) // the shortest way to the broken promise
}

// Try searches a scenario. The function newModel makes a model that tells of its
// events, if say is not nil.
func Try[W comparable, A any](scenario, faults string, limit int, newModel func(say func(string)) *explore.Model[W, A]) Trial {
	began := time.Now()
	r := explore.Search(newModel(nil), limit)
	states := fmt.Sprint(r.States)
	if r.Cut {
		states = "the nearest " + states
	}
	return Trial{
		States: r.States, Quiet: r.Quiet, Steps: len(r.Way), Cut: r.Cut, Broken: r.Broken,
		Row: fmt.Sprintf("%-26s %-42s %20s states %8s", scenario, faults, states, time.Since(began).Round(time.Millisecond)),
		Tell: func(say func(string)) {
			m := newModel(say)
			w := m.Start
			for _, a := range r.Way {
				m.Do(&w, a)
			}
		},
	}
}

func (tr *Trial) tell(t *testing.T) { tr.Tell(func(text string) { t.Log("  ", text) }) }

// Table is the log of a test.
type Table struct {
	t    *testing.T
	rows []string
}

// NewTable returns a table that is logged at the end of a test.
func NewTable(t *testing.T) *Table {
	table := &Table{t: t}
	t.Cleanup(func() { t.Log("\n" + strings.Join(table.rows, "\n")) })
	return table
}

// Holds wants all promises kept.
func (table *Table) Holds(tr Trial) {
	table.t.Helper()
	if tr.Quiet == 0 && !tr.Cut && tr.Broken == "" {
		table.t.Errorf("%s: nothing ever comes to an end", tr.Row)
	}
	table.Spares("all promises hold", tr)
}

// Spares wants all promises kept without a rule.
func (table *Table) Spares(what string, tr Trial) {
	table.t.Helper()
	if tr.Broken != "" {
		table.t.Errorf("%s: %s: broken is %s", what, tr.Row, tr.Broken)
		tr.tell(table.t)
	}
	table.rows = append(table.rows, tr.Row+"  "+what)
}

// Needs wants a promise broken without a rule.
func (table *Table) Needs(what, promise string, tr Trial) {
	table.t.Helper()
	if !strings.HasPrefix(tr.Broken, promise+":") {
		table.t.Errorf("%s (%s): broken is %q, want %q", what, tr.Row, tr.Broken, promise)
		return
	}
	table.rows = append(table.rows, fmt.Sprintf("%-68s %s  after %2d steps breaks: %s", what, tr.Row, tr.Steps, promise))
	table.t.Logf("%s\n  broken is %s", what, tr.Broken)
	tr.tell(table.t)
}

// Find returns the scenario with a name.
func Find[S any](t *testing.T, list []*S, name string, nameOf func(*S) string) *S {
	t.Helper()
	for _, s := range list {
		if nameOf(s) == name {
			return s
		}
	}
	t.Fatalf("no scenario %q", name)
	return nil
}
