package service

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/config"
)

// Without names a process keeps all read models up. An unknown name is a mistake
// in the configuration, and the error lists all names.
func TestNamesOfReadModels(t *testing.T) {
	t.Parallel()
	if names := config.Default().QueryService.ReadModels; len(names) > 0 {
		t.Errorf("the default is %q, want none, which is all", names)
	}
	const key = "query_service.read_models"
	for _, test := range []struct {
		value string
		code  int
		says  string
	}{
		{"", exitOK, ""},
		{"users,stats,history,commands", exitOK, ""},
		{"users,people", exitUsage, key + `: "people" (flag): must be one of users, stats, history, commands`},
	} {
		var stdout, stderr bytes.Buffer
		code := command(t.Context(), domain, []string{"config", "check", "--set", key + "=" + test.value}, nil, &stdout, &stderr)
		if code != test.code || strings.TrimSpace(stderr.String()) != test.says {
			t.Errorf("%s=%s: exit code %d, and it said %q, want %d, %q", key, test.value, code, stderr.String(), test.code, test.says)
		}
	}
}

// Two query services share the read models: each keeps its own read models up,
// and no others.
func TestReadModelsSharedOut(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startBroker()
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	s.queryService = s.service(settings{"query_service.read_models": "users,commands"}, "--config", shipped(t, "query-service.yaml"))
	s.readAPI = s.service(nil, "--config", shipped(t, "read-api.yaml"))
	for _, service := range []*service{s.commandService, s.queryService, s.readAPI} {
		service.start()
	}
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"Alice"},"id":"a"}`)
	s.waitForUser(user{ID: "1", Name: "Alice", Version: 1, Active: true})
	s.waitForStatus(statusURL("1", "a"), "succeeded")
	if got, err := s.get("/users/1/history"); err != nil || got.status != http.StatusNotFound {
		t.Errorf("the history that nobody keeps: %s, %v", got, err)
	}

	other := s.service(settings{"query_service.read_models": "history,stats"}, "--config", shipped(t, "query-service.yaml"))
	other.start()
	eventually(t, "the history", func() error {
		got, err := s.get("/users/1/history")
		if err == nil && got.status != http.StatusOK {
			err = errors.New(got.String())
		}
		return err
	})
}
