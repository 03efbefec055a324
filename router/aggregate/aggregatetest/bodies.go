package aggregatetest

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
)

// EventBodies holds an aggregate's events against a golden file of the bodies
// that releases wrote. A log is kept for ever, so a line of the file is never
// changed: a new form of an event gets lines of its own.
//
// A line is an event's type and body. The body is read, and written again, as
// the same text. If today's text is another one, after an upcast or with a
// member that was added later, an indented line below has today's type and
// body. Empty lines, and lines that begin with #, are for the reader:
//
//	# until release 1.4
//	userNamed {"id":1,"title":"Bob"}
//	  userRenamed {"id":1,"name":"Bob"}
//
//	userRenamed {"id":1,"name":"Bob"}
//
// Every event type of the definition, and every type that an upcast takes,
// must have a line.
func EventBodies(t testing.TB, of *aggregate.Type, file string) {
	t.Helper()
	if _, err := aggregate.NewRegistry(of); err != nil {
		t.Fatalf("%v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	missing := append(slices.Clone(of.EventTypes()), of.OldEventTypes()...)
	lines := slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
	})
	for i, line := range lines {
		if isIndented(line) {
			if i == 0 || isIndented(lines[i-1]) {
				t.Errorf("%s: there is no older form above\n\t%s", file, line)
			}
			continue
		}
		eventType, body, _ := strings.Cut(line, " ")
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == eventType })
		want := line
		if i+1 < len(lines) && isIndented(lines[i+1]) {
			want = strings.TrimSpace(lines[i+1])
		}
		event, err := of.DecodeEvent(eventType, []byte(body))
		if err != nil {
			t.Errorf("%s: %v\n\t%s", file, err, line)
			continue
		}
		if got := (&History{of: of}).text(event); got != want {
			t.Errorf("%s: the event\n\t%s\nis read and written as\n\t%s\nwant\n\t%s", file, line, got, want)
		}
	}
	for _, eventType := range missing {
		t.Errorf("%s: there is no line of event %s", file, eventType)
	}
}

func isIndented(line string) bool { return line[0] == ' ' || line[0] == '\t' }
