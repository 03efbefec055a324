package reaction

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

func nothing(Record) ([]Command, error) { return nil, nil }

func TestCheck(t *testing.T) {
	const form = "the name must be a lower-case letter, then at most 31 lower-case letters, digits and hyphens"
	for _, test := range []struct {
		want string
		all  []*Reaction
	}{
		{"", []*Reaction{{Name: "a", React: nothing}, {Name: "b-2", Of: []string{"order"}, React: nothing}}},
		{"Reactions[0] is nil", []*Reaction{nil}},
		{`reaction "": ` + form, []*Reaction{{React: nothing}}},
		{`reaction "A": ` + form, []*Reaction{{Name: "A", React: nothing}}},
		{`reaction "a/b": ` + form, []*Reaction{{Name: "a/b", React: nothing}}},
		{`reaction "` + strings.Repeat("a", 33) + `": ` + form, []*Reaction{{Name: strings.Repeat("a", 33), React: nothing}}},
		{`reaction "unique": the name is the router's own`, []*Reaction{{Name: "unique", React: nothing}}},
		{`reaction "a": React is nil`, []*Reaction{{Name: "a"}}},
		{`reaction "a" is there twice`, []*Reaction{{Name: "a", React: nothing}, {Name: "a", React: nothing}}},
		{`reaction "a": Of names the aggregate "user", which isn't there`, []*Reaction{{Name: "a", Of: []string{"user"}, React: nothing}}},
	} {
		if err := Check(test.all, orders.Registry); test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

type stray struct{ aggregate.AnyCommand }

func (stray) Type() string { return "stray" }

// Answer refuses commands that nobody could decide.
func TestAnswerChecks(t *testing.T) {
	many := make([]Command, MaxCommands+1)
	for _, test := range []struct {
		want     string
		commands []Command
	}{
		{"", []Command{Send(orders.SendParcel{ID: "1"}), Send(&orders.SendParcel{ID: "2"})}},
		{"1001 commands: a record causes at most 1000", many},
		{"command 0: the command is nil", []Command{{}}},
		{"command 1: the command is nil", []Command{Send(orders.SendParcel{ID: "1"}), Send((*orders.SendParcel)(nil))}},
		{`command 0: no aggregate has a command "stray"`, []Command{Send(stray{})}},
		{`command 0: sendParcel: the id "" must be 1 to 128 characters without control characters, other than one dot and two dots`, []Command{Send(orders.SendParcel{})}},
	} {
		r := &Reaction{Name: "a", React: func(Record) ([]Command, error) { return test.commands, nil }}
		_, err := r.Answer(orders.Registry, Record{})
		if test.want == "" && err != nil || test.want != "" && (err == nil || err.Error() != test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
	}
}

func TestAnswerPanics(t *testing.T) {
	r := &Reaction{Name: "a", React: func(Record) ([]Command, error) { panic("boom") }}
	commands, err := r.Answer(orders.Registry, Record{})
	var panicked *PanicError
	if !errors.As(err, &panicked) || commands != nil || err.Error() != "the reaction panicked: boom" {
		t.Fatalf("%v, %v", commands, err)
	}
	if !strings.Contains(panicked.Stack, "reaction_test.go:") || strings.Contains(panicked.Stack, "answer.go") || strings.Contains(panicked.Stack, "0x") {
		t.Errorf("the stack is\n%s", panicked.Stack)
	}
}

func TestIsOf(t *testing.T) {
	all, some := &Reaction{}, &Reaction{Of: []string{"order"}}
	for stream, want := range map[string][2]bool{"order/1": {true, true}, "parcel/1": {true, false}, "order": {true, false}} {
		if got := [2]bool{all.IsOf(stream), some.IsOf(stream)}; got != want {
			t.Errorf("%s: %v, want %v", stream, got, want)
		}
	}
}
