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

func TestAccounts(t *testing.T) {
	s := servicetest.Start(t, t.TempDir())
	// send sends a command, and waits for the outcome.
	send := func(command string, status int, contains string) (position string) {
		t.Helper()
		return s.Post(command, "Prefer", "wait=30").Want(status, contains).Position()
	}
	send(`{"type":"openAccount","payload":{"id":"alice","number":"DE02 1203 0000"}}`, 200, `"stream":"account/alice","version":1`)
	send(`{"type":"deposit","payload":{"id":"alice","amount":1000}}`, 200, `"version":2`)
	send(`{"type":"withdraw","payload":{"id":"alice","amount":1001}}`, 409, "insufficient-funds")
	send(`{"type":"deposit","payload":{"id":"bob","amount":1000}}`, 404, "account-not-found")
	send(`{"type":"openAccount","payload":{"id":"Bob","number":"1"}}`, 400, `"pointer":"/payload/number"`)
	send(`{"type":"requestTransfer","payload":{"id":"rent","from":"alice","to":"Bob","amount":0.5}}`, 400, `"pointer":"/payload/to"`)
	for _, internal := range []string{"withdrawForTransfer", "depositForTransfer", "payBack"} {
		send(`{"type":"`+internal+`","payload":{"id":"alice","amount":1,"transfer":"rent"}}`, 400, `"pointer":"/type"`)
	}
	send(`{"type":"withdraw","payload":{"id":"alice","amount":1,"transfer":"rent"}}`, 400, `"pointer":"/payload/transfer"`)
	last := send(`{"type":"withdraw","id":"w-1","payload":{"id":"alice","amount":400}}`, 200, `"version":3`)
	s.ReadAfter(last, "/accounts/alice").Want(200, `"number":"DE0212030000","balance":600`)
	s.ReadAfter(last, "/accounts?number=de02+1203+0000").Want(200, `"id":"alice"`)
	s.ReadAfter(last, "/accounts/alice/statement").Want(200, `"what":"withdrawal","amount":-400,"balance":600`)
	s.ReadAfter(last, "/stats/money").Want(200, `{"accounts":1,"balances":600,"inTransit":0,"deposited":1000,"withdrawn":400}`)
	for _, model := range []string{"balances", "statements", "transfers"} {
		if proof := s.Run("verify", model); !strings.Contains(proof, model+": proven") {
			t.Errorf("verify: %s", proof)
		}
	}
	s.Stop()
}

func TestOpenAPI(t *testing.T) {
	text := servicetest.Run(t, t.TempDir(), "docs", "openapi")
	var document struct{ Paths map[string]any }
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/commands", "/accounts", "/accounts/{id}", "/accounts/{id}/statement", "/stats/money", "/transfers/{id}"} {
		if document.Paths[path] == nil {
			t.Errorf("there is no path %s", path)
		}
	}
}
