package main

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/config"
)

// config names the read models, and can't ask who they are.
func TestConfigNamesAllReadModels(t *testing.T) {
	if diff := cmp.Diff(readModelNames(), config.Default().QueryService.ReadModels); diff != "" {
		t.Errorf("(-there are +config has):\n%s", diff)
	}
}

// Two query services share out the read models: each keeps its own, and none
// of the other's.
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
