package service

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

const createAlice = `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`

var alice = user{ID: "1", Name: "Alice", Version: 1, Active: true}

// The two curl lines of the README, and then all ways to stop and start.
func TestAliceStays(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	all := s.services()[0]
	s.accept(createAlice)
	s.waitForUser(alice)
	if got, err := s.get("/users/1"); err != nil || got.status != http.StatusOK {
		t.Errorf("GET /users/1: %s %v", got, err)
	}
	health := launch(t, all.set, "health")
	if code := health.exit(t, patience); code != exitOK || !strings.Contains(health.stdout.String(), `"ready"`) {
		t.Errorf("app health: exit code %d, %s", code, &health.stdout)
	}

	all.signal(t, syscall.SIGTERM)
	if code := all.exit(t, 10*time.Second); code != exitOK {
		t.Errorf("told to stop, it ended with exit code %d", code)
	}
	all.start()
	s.waitForUser(alice)

	all.kill()
	all.start()
	s.waitForUser(alice)

	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Alison"}}`)
	s.waitForUser(user{ID: "1", Name: "Alison", Version: 2, Active: true})
	s.waitForUsers(s.history())
}
