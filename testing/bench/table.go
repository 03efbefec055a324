package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// row is a line of the table.
type row struct {
	what  string // the measured thing
	got   string
	limit string  // the thing beside, measured in the same run; "" for none
	value float64 // the ratio of both; without a limit, the number itself
	goal  goal
}

// goal is a wanted value. The zero goal wants nothing.
type goal struct {
	target, bar float64
	sign        string // "≤" or "≥"
}

func atMost(target, bar float64) goal  { return goal{target, bar, "≤"} }
func atLeast(target, bar float64) goal { return goal{target, bar, "≥"} }

func (g goal) cells(value float64) (target, bar, verdict string) {
	if g.sign == "" {
		return "", "", ""
	}
	target, bar = fmt.Sprintf("%s %g", g.sign, g.target), fmt.Sprintf("%s %g", g.sign, g.bar)
	meets := func(limit float64) bool { return value == limit || (value < limit) == (g.sign == "≤") }
	switch {
	case meets(g.target):
		verdict = "target"
	case meets(g.bar):
		verdict = "bar"
	default:
		verdict = "missed"
	}
	return target, bar, verdict
}

var header = []string{"measured", "Millrace", "beside, in the same run", "ratio", "target", "bar", "met"}

// printTable prints rows for a terminal, or in Markdown for docs/benchmarks.md.
func printTable(out io.Writer, rows []row, markdown bool) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(cells []string) { fmt.Fprintln(table, strings.Join(cells, "\t")) }
	if markdown {
		line = func(cells []string) { fmt.Fprintln(out, "|", strings.Join(cells, " | "), "|") }
	}
	line(header)
	if markdown {
		line([]string{"---", "---", "---", "---", "---", "---", "---"})
	}
	for _, r := range rows {
		ratio := ""
		if r.limit != "" {
			ratio = fmt.Sprintf("%.2f", r.value)
		}
		target, bar, met := r.goal.cells(r.value)
		line([]string{r.what, r.got, r.limit, ratio, target, bar, met})
	}
	return table.Flush()
}

func perSecond(rate float64) string   { return fmt.Sprintf("%.0f/s", rate) }
func milliseconds(ms float64) string  { return fmt.Sprintf("%.2f ms", ms) }
func megabytes(bytes float64) string  { return fmt.Sprintf("%.0f MB", bytes/1e6) }
func named(name, value string) string { return name + " " + value }

func microseconds(us float64) string {
	if us < 20 {
		return fmt.Sprintf("%.1f µs", us)
	}
	return fmt.Sprintf("%.0f µs", us)
}
