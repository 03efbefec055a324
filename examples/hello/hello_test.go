package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/service/servicetest"
)

// TestMain lets the test binary be the service, in a process of its own.
func TestMain(m *testing.M) { servicetest.Main(m, domain) }

// The parts of the service fit together.
func TestDomain(t *testing.T) {
	if err := domain.Check(); err != nil {
		t.Error(err)
	}
}

// All promises hold for lists: the log, the queries, the history, the status of
// commands, the proof, and the documents for machines.
func TestService(t *testing.T) {
	data := t.TempDir()
	s := servicetest.Start(t, data)
	// send sends a command, and waits for the outcome.
	send := func(command string, status int, contains string) (position string) {
		t.Helper()
		return s.Post(command, "Prefer", "wait=30").Want(status, contains).Position()
	}

	send(`{"type":"createList","payload":{"id":"groceries","title":"Groceries"}}`, 200, `"stream":"list/groceries","version":1`)
	send(`{"type":"addItem","payload":{"id":"groceries","item":"milk","quantity":2}}`, 200, `"version":2`)
	send(`{"type":"addItem","payload":{"id":"groceries","item":"milk"}}`, 409, "item-already-there")
	send(`{"type":"checkItem","payload":{"id":"party","item":"milk"}}`, 404, "list-not-found")
	send(`{"type":"createList","payload":{"id":"Groceries!","title":""}}`, 400, `"pointer":"/payload/title"`)
	send(`{"type":"createUser","payload":{}}`, 400, "must be one of createList, addItem, checkItem, removeItem, closeList")
	last := send(`{"type":"checkItem","id":"check-1","payload":{"id":"groceries","item":"milk"}}`, 200, `"version":3`)
	send(`{"type":"checkItem","id":"check-1","payload":{"id":"groceries","item":"milk"}}`, 200, `"version":3`)

	s.ReadAfter(last, "/lists/groceries").Want(200, `"items":[{"item":"milk","quantity":2,"checked":true}]`)
	s.ReadAfter(last, "/lists").Want(200, `"itemCount":1`)
	s.ReadAfter(last, "/lists/groceries/history").Want(200, `"type":"itemChecked"`)
	s.ReadAfter(last, "/lists/groceries/commands/check-1").Want(200, `"status":"succeeded","version":3`)

	accepted := s.Post(`{"type":"closeList","payload":{"id":"groceries"}}`).Want(202, "accepted")
	last = accepted.Position()
	s.ReadAfter(last, accepted.Header.Get("Location")).Want(200, `"status":"succeeded","version":4`)

	if proof := s.Run("verify"); !strings.Contains(proof, "lists: proven") {
		t.Errorf("verify: %s", proof)
	}
	s.Stop()

	s = servicetest.Start(t, data)
	s.ReadAfter(last, "/lists/groceries").Want(200, `"closed":true`)
	send(`{"type":"closeList","payload":{"id":"groceries"}}`, 409, "list-closed")
}

func TestOpenAPI(t *testing.T) {
	text := servicetest.Run(t, t.TempDir(), "docs", "openapi")
	var document struct{ Paths map[string]any }
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/commands", "/lists", "/lists/{id}", "/lists/{id}/history", "/lists/{id}/commands/{command}"} {
		if document.Paths[path] == nil {
			t.Errorf("there is no path %s", path)
		}
	}
	for _, name := range []string{"addItem", "item-already-there", "itemChecked"} {
		if !strings.Contains(text, name) {
			t.Errorf("nothing says %s", name)
		}
	}
}

// The program has the name of the service, and tells the version of Millrace.
func TestVersion(t *testing.T) {
	if text := servicetest.Run(t, t.TempDir(), "--version"); !strings.HasPrefix(text, "hello ") || !strings.Contains(text, "on millrace ") {
		t.Errorf("--version: %s", text)
	}
	if text := servicetest.Run(t, t.TempDir(), "--help"); !strings.Contains(text, "Usage: hello <command> [flags]\n\nHello takes commands over HTTP") {
		t.Errorf("--help: %s", text)
	}
}
