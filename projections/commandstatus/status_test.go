package commandstatus

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/projectiontest"
)

// some is a log of commands that ended in all the ways there are.
func some() *projectiontest.Log {
	log := new(projectiontest.Log)
	log.AddOf("create", "userCreated", "1", `{"id":1,"name":"Alice"}`)
	log.AddOf("create", "userCreated", "a/b", `{"id":"a/b","name":"Bob"}`) // the same id, of another user
	log.AddOf("again", "commandRefused", "1", `{"commandType":"createUser","problem":"user-exists","detail":"the user exists already"}`)
	log.AddOf("nobody", "commandRefused", "2", `{"commandType":"deleteUser","problem":"user-not-found","detail":"there is no such user"}`)
	log.AddOf("version", "commandRefused", "1", `{"commandType":"renameUser","problem":"version-mismatch","detail":"the user has version 1, not 7"}`)
	log.AddOf("same", "commandUnchanged", "1", `{"commandType":"renameUser"}`)
	log.AddOf("a:1~.-_Z", "userRenamed", "1", `{"id":1,"name":"Alison"}`)

	log.AddOf("faulty", "commandParked", "3", `{"commandType":"createUser","payload":{"id":3,"name":"C"},"reason":"it panicked","stack":"there"}`)
	log.AddOf("behind", "commandQueued", "3", `{"commandType":"renameUser","payload":{"id":3,"name":"D"},"reason":"an earlier command of this user is parked"}`)

	log.AddOf("mended", "commandParked", "4", `{"commandType":"createUser","payload":{"id":4,"name":"E"},"reason":"it panicked"}`)
	log.AddOf("after", "commandQueued", "4", `{"commandType":"createUser","payload":{"id":4,"name":"F"},"reason":"an earlier command of this user is parked"}`)
	log.AddOf("operator", "parkedRequeued", "4", `{"commandId":"mended"}`)
	log.AddOf("mended", "userCreated", "4", `{"id":4,"name":"E"}`)
	log.AddOf("after", "commandRefused", "4", `{"commandType":"createUser","problem":"user-exists","detail":"the user exists already"}`)

	log.AddOf("dropped", "commandParked", "5", `{"commandType":"createUser","payload":{"id":5,"name":"G"},"reason":"it panicked"}`)
	log.AddOf("operator", "parkedDropped", "5", `{"commandId":"dropped"}`)
	log.AddOf("dropped", "commandRefused", "5", `{"commandType":"createUser","problem":"command-dropped","detail":"an operator has dropped the command"}`)

	log.AddOf("held", "commandParked", "stale", `{"commandType":"createUser","payload":{"id":"stale","name":"H"},"reason":"it panicked"}`)
	log.AddOf("painted", "userPainted", "stale", `{"id":"stale"}`)
	return log
}

func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, some(), "testdata/projection.golden")
}

// kafka is what Kafka says when it is asked.
type kafka struct {
	undecided map[string]bool // by stream and id
	end       func() messaging.Position
	err       error
	asked     int
}

func (k *kafka) Undecided(_ context.Context, stream, commandID string) (bool, error) {
	k.asked++
	return k.undecided[stream+" "+commandID], k.err
}

func (k *kafka) LogEnd(context.Context, string) (messaging.Position, error) { return k.end(), k.err }

func serve(t *testing.T, m *projectiontest.Model, k *kafka) *projectiontest.Client {
	t.Helper()
	return m.Client(t, func(router *mux.Router, reader *projections.Reader) { Routes(router, reader, k) })
}

func TestOutcomes(t *testing.T) {
	m := projectiontest.Open(t, Projection)
	m.Fold(some())
	k := new(kafka)
	c := serve(t, m, k)
	refused := func(id, user, slug, status, detail string) string {
		return `{"id":"` + id + `","user":` + user + `,"status":"refused","problem":{"type":"urn:millrace:problem:` + slug + `","title":"Command refused","status":` + status + `,"detail":"` + detail + `","id":"` + id + `"}}`
	}
	for path, want := range map[string]string{
		"1/commands/create":                   `{"id":"create","user":1,"status":"succeeded","version":1,"position":"AQAB"}`,
		"a%2Fb/commands/create":               `{"id":"create","user":"a/b","status":"succeeded","version":1,"position":"AQAC"}`,
		"1/commands/same":                     `{"id":"same","user":1,"status":"succeeded","version":1,"position":"AQAF"}`,
		"1/commands/a:1~.-_Z":                 `{"id":"a:1~.-_Z","user":1,"status":"succeeded","version":2,"position":"AQAG"}`,
		"%31/commands/%61%3A1%7E%2E%2D%5F%5A": `{"id":"a:1~.-_Z","user":1,"status":"succeeded","version":2,"position":"AQAG"}`,
		"1/commands/again":                    refused("again", "1", "user-exists", "409", "the user exists already"),
		"2/commands/nobody":                   refused("nobody", "2", "user-not-found", "404", "there is no such user"),
		"1/commands/version":                  refused("version", "1", "version-mismatch", "412", "the user has version 1, not 7"),
		"3/commands/faulty":                   `{"id":"faulty","user":3,"status":"parked"}`,
		"3/commands/behind":                   `{"id":"behind","user":3,"status":"parked"}`,
		"4/commands/mended":                   `{"id":"mended","user":4,"status":"succeeded","version":1,"position":"AQEE"}`,
		"4/commands/after":                    refused("after", "4", "user-exists", "409", "the user exists already"),
		"4/commands/operator":                 `{"id":"operator","user":4,"status":"succeeded","position":"AQED"}`,
		"5/commands/dropped":                  refused("dropped", "5", "command-dropped", "409", "an operator has dropped the command"),
		"stale/commands/held":                 `{"id":"held","user":"stale","status":"parked","stale":true}`,
	} {
		got := c.Want("/users/"+path, 200, want)
		if again := c.Ask(http.MethodHead, "/users/"+path, "If-None-Match", got.Header.Get("ETag")); again.Status != 304 {
			t.Errorf("HEAD %s: status %d, and the ETag was %s", path, again.Status, got.Header.Get("ETag"))
		}
	}
	if k.asked > 0 {
		t.Error("Kafka was asked about commands that have an outcome")
	}
}

// Who repeats a command's id reads after the outcome that there is.
func TestOutcome(t *testing.T) {
	m := projectiontest.Open(t, Projection)
	m.Fold(some())
	for command, want := range map[string]string{"1 create": "AQAB", "1 again": "AQAD", "3 behind": "AQID", "1 nobody": "", "9 create": ""} {
		user, id, _ := strings.Cut(command, " ")
		at, err := Outcome(t.Context(), m.Store, users.ID(user), id)
		if err != nil || want == "" && at != nil || want != "" && messaging.EncodePosition(at) != want {
			t.Errorf("command %s: %v, %v, want %s", command, at, err, want)
		}
	}
}

// Whatever becomes of a command, its status has another ETag.
func TestETags(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []command{
		{Status: accepted}, {Status: parked, at: "AQAB"}, {Status: parked, at: "AQAC"}, {Status: parked, at: "AQAC", Stale: true},
		{Status: succeeded, at: "AQAD"}, {Status: refused, at: "AQAD"},
	} {
		if seen[c.state()] {
			t.Errorf("%s is the state of another status, too", c.state())
		}
		seen[c.state()] = true
	}
}

const commandNotFound = `{"type":"urn:millrace:problem:command-not-found","title":"Command not found","status":404,"detail":"there is no such command of this user"}`

func unavailable(detail string) string {
	return `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"` + detail + `"}`
}

// A command that has no outcome in the rows is looked for in Kafka.
func TestNoOutcomeYet(t *testing.T) {
	log := some()
	m := projectiontest.Open(t, Projection)
	m.Fold(log)
	k := &kafka{undecided: map[string]bool{"1 new": true, "stale new": true}, end: log.Position}
	c := serve(t, m, k)
	c.Want("/users/1/commands/new", 200, `{"id":"new","user":1,"status":"accepted"}`)
	c.Want("/users/stale/commands/new", 200, `{"id":"new","user":"stale","status":"accepted"}`)
	c.Want("/users/a%2Fb/commands/new", 404, commandNotFound)
	c.Want("/users/1/commands/NEW", 404, commandNotFound)
	c.Want("/users/stale/commands/painted", 503, unavailable("the read model stopped at an event of this user"))

	// It was decided while we looked: its outcome is in the log by then.
	k.end = func() messaging.Position {
		log.AddOf("quick", "userDeactivated", "1", `{"id":1}`)
		m.Fold(log)
		return log.Position()
	}
	c.Want("/users/1/commands/quick", 200, `{"id":"quick","user":1,"status":"succeeded","version":3,"position":"AQAK"}`)

	// The read model doesn't come there in time.
	k.end = func() messaging.Position { return messaging.Position{0: 1000} }
	if got := c.Want("/users/1/commands/slow", 503, unavailable("the read model has not come so far yet")); got.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}

	k.err = errors.New("kafka is away")
	if got := c.Want("/users/1/commands/other", 503, unavailable("the service can't answer this now; try again")); got.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if got := c.Ask(http.MethodGet, "/users/1/commands/create"); got.Status != 200 {
		t.Errorf("without Kafka: status %d for a command that has its outcome", got.Status)
	}
}

// What no command can be called is not looked for.
func TestWrongIDs(t *testing.T) {
	m := projectiontest.Open(t, Projection)
	m.Fold(some())
	k := new(kafka)
	c := serve(t, m, k)
	for _, path := range []string{
		"1/commands/" + strings.Repeat("x", 129), "1/commands/a%20b", "1/commands/a%2Fb", "1/commands/%00", "1/commands/%FF",
		"1/commands/create%0A", "1/commands/%C3%A9", "stats/commands/create", "%FF/commands/create", "%2E%2E/commands/create",
	} {
		c.Want("/users/"+path, 404, commandNotFound)
	}
	if k.asked > 0 {
		t.Error("Kafka was asked about what can't be a command")
	}
	c.Want("/users/1/commands/create?wait=1", 400, `{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"the query parameters are not valid","errors":[{"parameter":"wait","detail":"is not a parameter of this query"}]}`)
}

func TestNotPrepared(t *testing.T) {
	c := serve(t, projectiontest.Open(t, Projection), new(kafka))
	c.Want("/users/1/commands/create", 503, unavailable("the read model isn't there yet"))
}
