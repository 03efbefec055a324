package users

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// Given a user, when a command comes, then an event, nothing, or a refusal.
func TestDecide(t *testing.T) {
	var (
		absent   = User{}
		active   = User{Name: "Alice", Status: Active}
		inactive = User{Name: "Alice", Status: Inactive}
		deleted  = User{Status: Deleted}

		create     = &CreateUser{ID: "1", Name: "Alice"}
		rename     = &RenameUser{ID: "1", Name: "Bob"}
		sameName   = &RenameUser{ID: "1", Name: "Alice"}
		deactivate = &DeactivateUser{ID: "1"}
		reactivate = &ReactivateUser{ID: "1"}
		del        = &DeleteUser{ID: "1"}
	)
	tests := []struct {
		given User
		when  Command
		then  Event    // or
		no    *Refusal // and, after the event:
		after User
	}{
		{given: absent, when: create, then: UserCreated{ID: "1", Name: "Alice"}, after: active},
		{given: absent, when: rename, no: ErrNotFound},
		{given: absent, when: deactivate, no: ErrNotFound},
		{given: absent, when: reactivate, no: ErrNotFound},
		{given: absent, when: del, no: ErrNotFound},

		{given: active, when: create, no: ErrExists},
		{given: active, when: rename, then: UserRenamed{ID: "1", Name: "Bob"}, after: User{Name: "Bob", Status: Active}},
		{given: active, when: sameName, after: active},
		{given: active, when: deactivate, then: UserDeactivated{ID: "1"}, after: inactive},
		{given: active, when: reactivate, no: ErrAlreadyActive},
		{given: active, when: del, then: UserDeleted{ID: "1"}, after: deleted},

		{given: inactive, when: create, no: ErrExists},
		{given: inactive, when: rename, then: UserRenamed{ID: "1", Name: "Bob"}, after: User{Name: "Bob", Status: Inactive}},
		{given: inactive, when: sameName, after: inactive},
		{given: inactive, when: deactivate, no: ErrAlreadyInactive},
		{given: inactive, when: reactivate, then: UserReactivated{ID: "1"}, after: active},
		{given: inactive, when: del, then: UserDeleted{ID: "1"}, after: deleted},

		{given: deleted, when: create, no: ErrDeleted},
		{given: deleted, when: rename, no: ErrDeleted},
		{given: deleted, when: deactivate, no: ErrDeleted},
		{given: deleted, when: reactivate, no: ErrDeleted},
		{given: deleted, when: del, no: ErrDeleted},
	}
	states := []string{"absent", "active", "inactive", "deleted"}
	for _, test := range tests {
		t.Run(states[test.given.Status]+"/"+test.when.Type(), func(t *testing.T) {
			event, err := test.when.Decide(test.given)
			if event != test.then {
				t.Errorf("event %#v, want %#v", event, test.then)
			}
			var refusal *Refusal
			errors.As(err, &refusal)
			if refusal != test.no || (err != nil) != (test.no != nil) {
				t.Errorf("refusal %v, want %v", err, test.no)
			}
			after := test.given
			if event != nil {
				after = event.Apply(after)
				if event.Stream() != test.when.Stream() {
					t.Errorf("stream %q of the command, %q of its event", test.when.Stream(), event.Stream())
				}
			}
			if test.no == nil && after != test.after {
				t.Errorf("then the user is %+v, want %+v", after, test.after)
			}
		})
	}
}

// Slugs are on the wire: they never change.
func TestRefusals(t *testing.T) {
	for slug, refusal := range map[string]*Refusal{
		"user-exists": ErrExists, "user-not-found": ErrNotFound, "user-deleted": ErrDeleted,
		"user-already-inactive": ErrAlreadyInactive, "user-already-active": ErrAlreadyActive,
	} {
		if refusal.Slug != slug || refusal.Detail == "" || refusal.Error() != refusal.Detail {
			t.Errorf("%+v, want slug %s", refusal, slug)
		}
	}
}

// The bodies of the log. They are written once and read for ever: a change
// here is a break with every log there is.
var eventBodies = []struct {
	event     Event
	eventType string
	body      string
}{
	{&UserCreated{ID: "1", Name: "Alice"}, "userCreated", `{"id":1,"name":"Alice"}`},
	{&UserCreated{ID: "01", Name: "Zoë \U0001F600 \"Z\""}, "userCreated", `{"id":"01","name":"Zoë 😀 \"Z\""}`},
	{&UserRenamed{ID: "9007199254740991", Name: "Bob"}, "userRenamed", `{"id":9007199254740991,"name":"Bob"}`},
	{&UserDeactivated{ID: "0"}, "userDeactivated", `{"id":0}`},
	{&UserReactivated{ID: "9007199254740992"}, "userReactivated", `{"id":"9007199254740992"}`},
	{&UserDeleted{ID: "alice@example.org"}, "userDeleted", `{"id":"alice@example.org"}`},
}

func TestEventBodies(t *testing.T) {
	for _, test := range eventBodies {
		t.Run(test.eventType, func(t *testing.T) {
			if got := encode(t, test.event); got != test.body || test.event.Type() != test.eventType {
				t.Errorf("got %s %s, want %s %s", test.event.Type(), got, test.eventType, test.body)
			}
			event, err := DecodeEvent(test.eventType, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := encode(t, event), test.body; got != want || event.Stream() != test.event.Stream() {
				t.Errorf("read back as %s, want %s", got, want)
			}
			if got, want := event.Apply(User{Name: "x", Status: Inactive}), test.event.Apply(User{Name: "x", Status: Inactive}); got != want {
				t.Errorf("read back, it makes %+v, want %+v", got, want)
			}
		})
	}
	seen := map[string]bool{}
	for _, test := range eventBodies {
		seen[test.eventType] = true
	}
	for _, newEvent := range Events {
		if !seen[newEvent().Type()] {
			t.Errorf("no body of %s", newEvent().Type())
		}
	}
}

// encode writes with HTML as it is.
func encode(t *testing.T, v any) string {
	t.Helper()
	var body strings.Builder
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(body.String(), "\n")
}

func TestDecodeEvent(t *testing.T) {
	event, err := DecodeEvent("userRenamed", []byte(`{"id":1,"name":"Bob","by":"a newer binary"}`))
	if renamed, ok := event.(*UserRenamed); err != nil || !ok || *renamed != (UserRenamed{ID: "1", Name: "Bob"}) {
		t.Errorf("got %#v, %v", event, err)
	}
	if _, err := DecodeEvent("userPromoted", []byte(`{"id":1}`)); !errors.Is(err, ErrUnknownEvent) {
		t.Errorf("a newer binary's event: %v", err)
	}
	for _, body := range []string{``, `{`, `null`, `[]`, `{}`, `{"id":1}`, `{"id":null}`, `{"id":1.0}`, `{"id":"stats"}`, `{"id":1,"name":null}`, `{"id":1,"name":""}`} {
		if event, err := DecodeEvent("userRenamed", []byte(body)); err == nil || errors.Is(err, ErrUnknownEvent) {
			t.Errorf("%s: got %#v, %v", body, event, err)
		}
	}
}

// The commands' and events' names on the wire, and each of them once.
func TestTypes(t *testing.T) {
	var commands, events []string
	for _, newCommand := range Commands {
		commands = append(commands, newCommand().Type())
	}
	for _, newEvent := range Events {
		events = append(events, newEvent().Type())
	}
	if got, want := strings.Join(commands, " "), "createUser renameUser deactivateUser reactivateUser deleteUser"; got != want {
		t.Errorf("commands %s, want %s", got, want)
	}
	if got, want := strings.Join(events, " "), "userCreated userRenamed userDeactivated userReactivated userDeleted"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
}

// The domain knows nothing of the house around it.
func TestStandardLibraryOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imported := range parsed.Imports {
			first, _, _ := strings.Cut(strings.Trim(imported.Path.Value, `"`), "/")
			if strings.Contains(first, ".") {
				t.Errorf("%s imports %s", file, imported.Path.Value)
			}
		}
	}
}
