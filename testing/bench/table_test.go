package main

import (
	"strings"
	"testing"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		goal  goal
		value float64
		want  string
	}{
		{atMost(1.5, 2), 1.5, "target"},
		{atMost(1.5, 2), 1.51, "bar"},
		{atMost(1.5, 2), 2, "bar"},
		{atMost(1.5, 2), 2.01, "missed"},
		{atLeast(0.8, 0.7), 0.8, "target"},
		{atLeast(0.8, 0.7), 0.79, "bar"},
		{atLeast(0.8, 0.7), 0.69, "missed"},
		{goal{}, 1, ""},
	} {
		if _, _, got := c.goal.cells(c.value); got != c.want {
			t.Errorf("%+v, %g: %q instead of %q", c.goal, c.value, got, c.want)
		}
	}
}

func TestTableInMarkdown(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	rows := []row{
		{"rate", "10/s", named("plain", "20/s"), 0.5, atLeast(0.6, 0.45)},
		{"memory", "300 MB", "", 300, atMost(160, 220)},
	}
	if err := printTable(&out, rows, true); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"| rate | 10/s | plain 20/s | 0.50 | ≥ 0.6 | ≥ 0.45 | bar |\n",
		"| memory | 300 MB |  |  | ≤ 160 | ≤ 220 | missed |\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("no line %q in\n%s", line, out.String())
		}
	}
}
