package service

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A user may have any id: none is the name of something else below /users.
func TestNoIDIsReserved(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	ids := []string{"stats", "changes", "history", "commands", "user/1", "openapi.json", "users"}
	for _, id := range ids {
		got := s.wait(fmt.Sprintf(`{"type":"createUser","payload":{"id":%q,"name":"Alice"},"id":"c"}`, id))
		if got.status != http.StatusOK || !strings.Contains(got.body, fmt.Sprintf(`"stream":"user/%s"`, id)) {
			t.Errorf("user %s: %s", id, got)
		}
		for path, want := range map[string]string{
			"":            fmt.Sprintf(`{"id":%q,"name":"Alice",`, id),
			"/history":    `"type":"userCreated"`,
			"/commands/c": fmt.Sprintf(`"stream":"user/%s","status":"succeeded"`, id),
		} {
			var any any
			got, err := s.getAfter(s.readAPI, "/users/"+url.PathEscape(id)+path, got.header.Get("Position"), &any)
			if err != nil || !strings.Contains(got.body, want) {
				t.Errorf("GET %s of user %s: %s, %v, want %s", path, id, got, err, want)
			}
		}
	}
	eventually(t, "all users are counted", func() error {
		got, err := s.get("/stats/users")
		if err != nil || !strings.Contains(got.body, fmt.Sprintf(`"active":%d,`, len(ids))) {
			return fmt.Errorf("GET /stats/users: %s, %w", got, err)
		}
		return nil
	})
	if _, err := s.readChanges("/changes?of=users", len(ids)); err != nil {
		t.Errorf("GET /changes: %v", err)
	}
}
