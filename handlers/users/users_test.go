package users

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/aggregate/aggregatetest"
)

// Given a user, when a command comes, then an event, nothing, or a refusal.
func TestDecide(t *testing.T) {
	const id = "1"
	type history = []aggregate.AnyEvent
	var (
		absent   = history{}
		active   = history{UserCreated{ID: id, Name: "Alice"}}
		inactive = append(active[:1:1], UserDeactivated{ID: id})
		deleted  = append(active[:1:1], UserDeleted{ID: id})

		isActive, isInactive, isDeleted = User{Name: "Alice", Status: Active}, User{Name: "Alice", Status: Inactive}, User{Status: Deleted}

		create     = CreateUser{ID: id, Name: "Alice"}
		rename     = RenameUser{ID: id, Name: "Bob"}
		sameName   = RenameUser{ID: id, Name: "Alice"}
		deactivate = DeactivateUser{ID: id}
		reactivate = ReactivateUser{ID: id}
		del        = DeleteUser{ID: id}
		email      = ChangeEmail{ID: id, Email: "Alice@example.org"}
	)
	tests := []struct {
		given history
		when  aggregate.AnyCommand
		then  aggregate.AnyEvent // or
		no    *aggregate.Refusal // and, after the event:
		after User
	}{
		{given: absent, when: create, then: UserCreated{ID: id, Name: "Alice"}, after: isActive},
		{given: absent, when: rename, no: ErrNotFound},
		{given: absent, when: deactivate, no: ErrNotFound},
		{given: absent, when: reactivate, no: ErrNotFound},
		{given: absent, when: del, no: ErrNotFound},
		{given: absent, when: email, no: ErrNotFound},

		{given: active, when: create, no: ErrExists, after: isActive},
		{given: active, when: rename, then: UserRenamed{ID: id, Name: "Bob"}, after: User{Name: "Bob", Status: Active}},
		{given: active, when: sameName, after: isActive},
		{given: active, when: deactivate, then: UserDeactivated{ID: id}, after: isInactive},
		{given: active, when: reactivate, no: ErrAlreadyActive, after: isActive},
		{given: active, when: del, then: UserDeleted{ID: id}, after: isDeleted},
		{given: active, when: email, then: UserEmailChanged(email), after: User{Name: "Alice", Status: Active, Email: "Alice@example.org"}},

		{given: inactive, when: create, no: ErrExists, after: isInactive},
		{given: inactive, when: rename, then: UserRenamed{ID: id, Name: "Bob"}, after: User{Name: "Bob", Status: Inactive}},
		{given: inactive, when: sameName, after: isInactive},
		{given: inactive, when: deactivate, no: ErrAlreadyInactive, after: isInactive},
		{given: inactive, when: reactivate, then: UserReactivated{ID: id}, after: isActive},
		{given: inactive, when: del, then: UserDeleted{ID: id}, after: isDeleted},
		{given: inactive, when: email, then: UserEmailChanged(email), after: User{Name: "Alice", Status: Inactive, Email: "Alice@example.org"}},

		{given: deleted, when: create, no: ErrDeleted, after: isDeleted},
		{given: deleted, when: rename, no: ErrDeleted, after: isDeleted},
		{given: deleted, when: deactivate, no: ErrDeleted, after: isDeleted},
		{given: deleted, when: reactivate, no: ErrDeleted, after: isDeleted},
		{given: deleted, when: del, no: ErrDeleted, after: isDeleted},
		{given: deleted, when: email, no: ErrDeleted, after: isDeleted},
	}
	for _, test := range tests {
		name := "absent"
		if n := len(test.given); n > 0 {
			name = test.given[n-1].Type()
		}
		t.Run(name+"/"+test.when.Type(), func(t *testing.T) {
			decision := aggregatetest.Given(t, Aggregate, test.given...).When(test.when)
			switch {
			case test.no != nil:
				decision.ThenRefused(test.no).ThenState(test.after)
			case test.then != nil:
				decision.Then(test.then).ThenState(test.after)
			default:
				decision.ThenUnchanged().ThenState(test.after)
			}
		})
	}
}

// A user's whole life.
func TestLife(t *testing.T) {
	const id = "alice@example.org"
	aggregatetest.Given(t, Aggregate).
		When(CreateUser{ID: id, Name: "Alice"}).Then(UserCreated{ID: id, Name: "Alice"}).
		When(DeactivateUser{ID: id}).Then(UserDeactivated{ID: id}).
		When(RenameUser{ID: id, Name: "Bob"}).Then(UserRenamed{ID: id, Name: "Bob"}).
		When(ReactivateUser{ID: id}).Then(UserReactivated{ID: id}).
		ThenState(User{Name: "Bob", Status: Active}).
		When(DeleteUser{ID: id}).Then(UserDeleted{ID: id}).
		When(CreateUser{ID: id, Name: "Alice"}).ThenRefused(ErrDeleted)
}

// A user holds one email address, without case, until the user has another one or
// is gone.
func TestEmailLife(t *testing.T) {
	const id = "1"
	claim := func(value string) aggregate.Claim {
		return aggregate.Claim{Name: "email", Value: value, Refusal: ErrEmailTaken}
	}
	alice := aggregatetest.Given(t, Aggregate, UserCreated{ID: id, Name: "Alice"}).ThenClaims().
		When(ChangeEmail{ID: id, Email: "Alice@Example.org"}).Then(UserEmailChanged{ID: id, Email: "Alice@Example.org"}).
		ThenClaims(claim("alice@example.org"))
	alice.When(ChangeEmail{ID: id, Email: "Alice@Example.org"}).ThenUnchanged()
	alice.When(ChangeEmail{ID: id, Email: "alice@example.org"}).Then(UserEmailChanged{ID: id, Email: "alice@example.org"}).
		ThenClaims(claim("alice@example.org")).
		When(ChangeEmail{ID: id, Email: "b@example.org"}).Then(UserEmailChanged{ID: id, Email: "b@example.org"}).
		ThenClaims(claim("b@example.org")).
		When(ChangeEmail{ID: id}).Then(UserEmailChanged{ID: id}).ThenClaims()
	alice.When(DeleteUser{ID: id}).Then(UserDeleted{ID: id}).ThenClaims()
}

// Slugs and kinds are on the wire, and never change.
func TestRefusals(t *testing.T) {
	var got []string
	for _, refusal := range Aggregate.Refusals() {
		got = append(got, refusal.Slug+" "+refusal.Kind.String())
		if refusal.Detail == "" || refusal.Error() != refusal.Detail {
			t.Errorf("%+v has no detail", refusal)
		}
	}
	want := "user-exists Conflict, user-not-found NotFound, user-deleted Gone, user-already-inactive Conflict, user-already-active Conflict, email-taken Conflict"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The bodies in the log are written once and read for ever. A change here breaks
// with every existing log.
var eventBodies = []struct {
	event     aggregate.Event[User]
	eventType string
	body      string
}{
	{&UserCreated{ID: "1", Name: "Alice"}, "userCreated", `{"id":1,"name":"Alice"}`},
	{&UserCreated{ID: "01", Name: "Zoë \U0001F600 \"Z\""}, "userCreated", `{"id":"01","name":"Zoë 😀 \"Z\""}`},
	{&UserRenamed{ID: "9007199254740991", Name: "Bob"}, "userRenamed", `{"id":9007199254740991,"name":"Bob"}`},
	{&UserDeactivated{ID: "0"}, "userDeactivated", `{"id":0}`},
	{&UserReactivated{ID: "9007199254740992"}, "userReactivated", `{"id":"9007199254740992"}`},
	{&UserEmailChanged{ID: "1", Email: "Alice@example.org"}, "userEmailChanged", `{"id":1,"email":"Alice@example.org"}`},
	{&UserEmailChanged{ID: "1"}, "userEmailChanged", `{"id":1,"email":""}`},
	{&UserDeleted{ID: "alice@example.org"}, "userDeleted", `{"id":"alice@example.org"}`},
}

func TestEventBodies(t *testing.T) {
	missing := map[string]bool{}
	for _, eventType := range Aggregate.EventTypes() {
		missing[eventType] = true
	}
	for _, test := range eventBodies {
		delete(missing, test.eventType)
		t.Run(test.eventType, func(t *testing.T) {
			if got := encode(t, test.event); got != test.body || test.event.Type() != test.eventType {
				t.Errorf("got %s %s, want %s %s", test.event.Type(), got, test.eventType, test.body)
			}
			event, err := Aggregate.DecodeEvent(test.eventType, []byte(test.body))
			if err != nil {
				t.Fatal(err)
			}
			if got, want := encode(t, event), test.body; got != want || event.AggregateID() != test.event.AggregateID() {
				t.Errorf("read back as %s, want %s", got, want)
			}
			before := User{Name: "x", Status: Inactive}
			if got, want := Aggregate.Apply(before, event), test.event.Apply(before); got != want {
				t.Errorf("read back, the event makes %+v, want %+v", got, want)
			}
		})
	}
	for eventType := range missing {
		t.Errorf("no body of %s", eventType)
	}
}

// encode encodes without escaping HTML.
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

// The state as the state store keeps the state.
func TestStateBody(t *testing.T) {
	for want, user := range map[string]User{
		`{"status":0}`:                          {},
		`{"name":"<Zoë>","status":1}`:           {Name: "<Zoë>", Status: Active},
		`{"status":3}`:                          {Status: Deleted},
		`{"name":"A","status":1,"email":"a@b"}`: {Name: "A", Status: Active, Email: "a@b"},
	} {
		if body, err := Aggregate.EncodeState(user); err != nil || string(body) != want {
			t.Errorf("%+v is %s, %v, want %s", user, body, err, want)
		}
		if err := Aggregate.SurvivesEncoding(user); err != nil {
			t.Error(err)
		}
	}
}

func TestDecodeEvent(t *testing.T) {
	event, err := Aggregate.DecodeEvent("userRenamed", []byte(`{"id":1,"name":"Bob","by":"a newer binary"}`))
	if renamed, ok := event.(*UserRenamed); err != nil || !ok || *renamed != (UserRenamed{ID: "1", Name: "Bob"}) {
		t.Errorf("got %#v, %v", event, err)
	}
	if _, err := Aggregate.DecodeEvent("userPromoted", []byte(`{"id":1}`)); !errors.Is(err, aggregate.ErrUnknownEvent) {
		t.Errorf("a newer binary's event: %v", err)
	}
	for _, body := range []string{
		``, `{`, `null`, `[]`, `{}`, `{"id":1}`, `{"id":null}`, `{"id":1.0}`, `{"id":".","name":"Bob"}`, `{"id":1,"name":null}`, `{"id":1,"name":""}`,
		`{"id":null,"name":"Bob"}`, `{"id":1.0,"name":"Bob"}`, `{"name":"Bob"}`,
	} {
		if event, err := Aggregate.DecodeEvent("userRenamed", []byte(body)); err == nil || errors.Is(err, aggregate.ErrUnknownEvent) {
			t.Errorf("%s: got %#v, %v", body, event, err)
		}
	}
}

// The ids in paths, and the member with the id in a command.
func TestIDs(t *testing.T) {
	for text, want := range map[string]string{"1": "1", "01": "01", "stats": "stats", "a/b": "a/b"} {
		if id, err := Aggregate.ParseID(text); err != nil || id != want {
			t.Errorf("%q is %q, %v", text, id, err)
		}
	}
	for _, text := range []string{"", ".", "..", "a\n", strings.Repeat("a", 129)} {
		if id, err := Aggregate.ParseID(text); id != "" || !errors.Is(err, ErrID) {
			t.Errorf("%q is %q, %v", text, id, err)
		}
	}
	for _, create := range Aggregate.Commands() {
		if got := Aggregate.IDMember(create().Type()); got != "id" {
			t.Errorf("the id of %s is in %q", create().Type(), got)
		}
	}
}

// The names on the wire never change.
func TestTypes(t *testing.T) {
	registry, err := aggregate.NewRegistry(Aggregate)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(registry.CommandTypes(), " "), "createUser renameUser deactivateUser reactivateUser deleteUser changeEmail"; got != want {
		t.Errorf("commands %s, want %s", got, want)
	}
	if got, want := strings.Join(Aggregate.EventTypes(), " "), "userCreated userRenamed userDeactivated userReactivated userDeleted userEmailChanged"; got != want {
		t.Errorf("events %s, want %s", got, want)
	}
	if Aggregate.Stream("1") != "user/1" || Aggregate.Plural() != "users" {
		t.Errorf("%s of %s", Aggregate.Stream("1"), Aggregate.Plural())
	}
}

// The domain knows nothing of the house around the domain but the contract.
func TestContractAndStandardLibraryOnly(t *testing.T) {
	const contract = "github.com/millrace/millrace/router/aggregate"
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
			name := strings.Trim(imported.Path.Value, `"`)
			first, _, _ := strings.Cut(name, "/")
			if strings.Contains(first, ".") && name != contract && (name != contract+"/aggregatetest" || !strings.HasSuffix(file, "_test.go")) {
				t.Errorf("%s imports %s", file, imported.Path.Value)
			}
		}
	}
}
