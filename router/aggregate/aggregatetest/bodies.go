package aggregatetest

import (
	"encoding/json"
	"maps"
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
	missing := append(slices.Clone(of.EventTypes()), of.OldEventTypes()...)
	lines := linesOf(t, file)
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

// linesOf are the lines of a golden file that are not for the reader.
func linesOf(t testing.TB, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return slices.DeleteFunc(strings.Split(string(text), "\n"), func(line string) bool {
		return strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#")
	})
}

func isIndented(line string) bool { return line[0] == ' ' || line[0] == '\t' }

// CommandBodies holds an aggregate's commands against a golden file of the bodies
// that clients send, so that clients of an earlier release are understood. A line
// is a command's type and payload, as in [EventBodies]:
//
//	renameUser {"id":1,"name":"Bob"}
//
// The payload is read, and written again, as the same text: a new member has
// omitempty, or the command a new type. Every command of the definition must
// have a line.
func CommandBodies(t testing.TB, of *aggregate.Type, file string) {
	t.Helper()
	if _, err := aggregate.NewRegistry(of); err != nil {
		t.Fatalf("%v", err)
	}
	creates := map[string]func() aggregate.AnyCommand{}
	missing := map[string]bool{}
	for _, create := range of.Commands() {
		name := create().Type()
		creates[name], missing[name] = create, true
	}
	for _, line := range linesOf(t, file) {
		name, payload, _ := strings.Cut(line, " ")
		create := creates[name]
		if create == nil {
			t.Errorf("%s: there is no command %s\n\t%s", file, name, line)
			continue
		}
		delete(missing, name)
		command := create()
		known := json.NewDecoder(strings.NewReader(payload))
		known.DisallowUnknownFields()
		if err := known.Decode(command); err != nil {
			t.Errorf("%s: %v\n\t%s", file, err, line)
			continue
		}
		if got := (&History{of: of}).text(command); got != line {
			t.Errorf("%s: the command\n\t%s\nis read and written as\n\t%s", file, line, got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s: there is no line of command %s", file, name)
	}
}
