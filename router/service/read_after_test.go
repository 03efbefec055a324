package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// A client that writes, and then reads through any instance with the Position of
// the answer, reads the write, and never reads an older state than before.
func TestReadYourWritesThroughTheOtherInstance(t *testing.T) {
	clients, writes := 8, size(100, 1250)
	s := newStack(t)
	s.startBroker()
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	all := []*service{s.commandService}
	for range 2 {
		all = append(all, s.service(nil, "--config", shipped(t, "query-service.yaml")))
	}
	var readAPIs []*service
	for range 2 {
		readAPIs = append(readAPIs, s.service(nil, "--config", shipped(t, "read-api.yaml")))
	}
	all = append(all, readAPIs...)
	for _, service := range all {
		service.launch()
	}
	for _, service := range all {
		service.waitUntilReady(t)
	}
	errs := make([]error, clients)
	var working sync.WaitGroup
	for n := range clients {
		working.Go(func() { errs[n] = s.writeAndRead(readAPIs, n, writes) })
	}
	working.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	t.Logf("%d writes, each read through both", clients*writes)
}

// writeAndRead changes a user again and again, and reads each change.
func (s *stack) writeAndRead(readAPIs []*service, id, writes int) error {
	for i := range writes {
		name := fmt.Sprintf("%d-%d", id, i)
		command := fmt.Sprintf(`{"type":"renameUser","payload":{"id":%d,"name":%q}}`, id, name)
		if i == 0 {
			command = strings.Replace(command, "renameUser", "createUser", 1)
		}
		written, err := s.tryPost(command)
		if err != nil || written.status != http.StatusAccepted {
			return fmt.Errorf("POST %s: %w, %s", command, err, written)
		}
		want := user{ID: "", Name: name, Version: uint64(i + 1), Active: true}
		var got user
		read, err := s.getAfter(readAPIs[i%2], fmt.Sprint("/users/", id), written.header.Get("Position"), &got)
		if got.ID = ""; err != nil || got != want {
			return fmt.Errorf("user %d is %+v, want %+v; %w", id, got, want, err)
		}
		var list []user
		if _, err = s.getAfter(readAPIs[(i+1)%2], "/users?name="+name, read.header.Get("Position"), &list); err != nil || len(list) != 1 {
			return fmt.Errorf("read elsewhere again: %+v, %w", list, err)
		}
	}
	return nil
}

func (s *stack) getAfter(readAPI *service, path, position string, into any) (answer, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+readAPI.at.Queries+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Read-After", position)
	got, err := do(s.client, request)
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("GET %s after %q: %s", path, position, got)
	}
	if err != nil {
		return got, err
	}
	return got, json.Unmarshal([]byte(got.body), into)
}
