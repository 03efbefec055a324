package service

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// itemsOf are the items of an order, in order.
func itemsOf(log map[string][]eventlog.Record, order string) string {
	var items []string
	for _, r := range log["order/"+order] {
		if r.Type == "itemAdded" {
			_, item, _ := strings.Cut(string(r.Body), `"item":"`)
			items = append(items, strings.TrimSuffix(item, `"}`))
		}
	}
	return strings.Join(items, " ")
}

// A log is copied to more partitions once its reactions have answered all records.
// In the copy nothing is answered again, and all goes on: a team's reaction, and
// the router's own for unique values.
func TestMorePartitionsWithReactions(t *testing.T) {
	t.Parallel()
	const n = 30
	s := welcome(t)
	s.setenv(withClaims, "yes")
	s.setenv(withReaction, "failing")
	s.startBroker()
	service := s.service(nil, "--config", shipped(t, "command-service.yaml"))
	service.start()
	s.commandService = service
	eventually(t, "the reaction begins everywhere", func() error {
		log := s.readLog()
		for partition := range s.partitions() {
			if stream := checkpoint.Stream("welcoming", partition); len(log[stream]) == 0 {
				return fmt.Errorf("%s is empty", stream)
			}
		}
		return nil
	})
	want := map[string]string{}
	wantItems := func() {
		t.Helper()
		eventually(t, "the items of all orders", func() error {
			log := s.readLog()
			for id := range n {
				order := fmt.Sprint("u", id+1)
				if got := itemsOf(log, order); got != want[order] {
					return fmt.Errorf("order %s has %q, want %q", order, got, want[order])
				}
			}
			return nil
		})
	}
	name := func(kind string, id int, name string) {
		t.Helper()
		s.accept(fmt.Sprintf(`{"type":%q,"payload":{"id":%d,"name":%q}}`, kind, id, name))
		order := fmt.Sprint("u", id)
		want[order] = strings.TrimSpace(want[order] + " " + name)
	}
	email := func(id int, email string, status int) {
		t.Helper()
		if got := s.wait(fmt.Sprintf(`{"type":"changeEmail","payload":{"id":%d,"email":%q}}`, id, email)); got.status != status {
			t.Errorf("user %d, %s: %s", id, email, got)
		}
	}
	prefix := s.shared["kafka.topic_prefix"] + "wide."
	refused := func(why string) {
		t.Helper()
		s.wantApp(exitFailed, []string{"copy the log: " + why}, "log", "copy", "--to", prefix, "--partitions", "24")
	}
	for id := range n {
		name("createUser", id+1, "Ann")
	}
	wantItems()
	// A value that was given back once, and is held again: another answer to the
	// first record would give the value back.
	for _, address := range []string{"a@example.org", "b@example.org", "a@example.org"} {
		email(1, address, http.StatusOK)
	}
	s.accept(`{"type":"renameUser","payload":{"id":2,"name":"Boom"}}`)
	var offset string
	eventually(t, "a parked stream", func() error {
		text, _ := s.app("reactions", "list")
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 3 && f[1] == "user/2" {
				offset = f[2]
				return nil
			}
		}
		return errors.New(text)
	})
	service.end(t)
	refused("stream user/2 is parked in reaction welcoming: `reactions retry` or `reactions skip` first")
	service.start()
	s.wantApp(exitOK, nil, "reactions", "skip", "welcoming", "user/2", offset)
	service.end(t)

	service.set["reactions.enabled"] = "false"
	service.start()
	name("renameUser", 3, "Eve")
	if got := s.wait(`{"type":"renameUser","payload":{"id":4,"name":"Ann"}}`); got.status != http.StatusOK {
		t.Fatal(got)
	}
	service.waitUntilReady(t)
	service.end(t)
	refused("reaction welcoming has not answered user/3, partition ")
	service.set["reactions.enabled"] = "true"
	service.start()
	wantItems()
	service.end(t)

	old := s.readLog()
	s.wantApp(exitOK, []string{"copied ", "with 24 partitions"}, "log", "copy", "--to", prefix, "--partitions", "24")
	for key, value := range map[string]string{"kafka.topic_prefix": prefix, "kafka.partitions": "24"} {
		s.shared[key], service.set[key] = value, value
	}
	service.start()
	email(2, "a@example.org", http.StatusConflict)
	email(2, "b@example.org", http.StatusOK)
	for id := range n {
		name("renameUser", id+1, "Cid")
	}
	wantItems()
	service.end(t)
	for stream, records := range s.readLog() {
		for i, was := range old[stream] {
			if i >= len(records) || records[i].Digest != was.Digest {
				t.Errorf("%s: record %d is not that of the old log", stream, i)
			}
		}
		if grown := len(records) - len(old[stream]); strings.HasPrefix(stream, "order/") && grown != 1 {
			t.Errorf("%s has %d records more, want the item of the last name", stream, grown)
		}
	}
}
