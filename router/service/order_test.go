package service

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// A user's commands of all types are decided in the order in which the client
// sent the commands.
func TestRenamesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	var dialed atomic.Int32
	transport := &http.Transport{
		MaxConnsPerHost: 1,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dialed.Add(1)
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	readers := s.client
	s.client = &http.Client{Transport: transport, Timeout: patience}

	s.accept(`{"type":"createUser","payload":{"id":"renamed","name":"Name 0"}}`)
	for n := 1; n <= 500; n++ {
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":"renamed","name":"Name %d"}}`, n))
		switch n % 10 {
		case 3:
			s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Other"}}`, n/10))
		case 7:
			s.accept(fmt.Sprintf(`{"type":"deactivateUser","payload":{"id":%d}}`, n/10))
		}
	}
	if n := dialed.Load(); n != 1 {
		t.Errorf("it took %d connections", n)
	}

	s.client = readers
	s.waitForUser(user{ID: "renamed", Name: "Name 500", Version: 501, Active: true})
	s.waitForUser(user{ID: "49", Name: "Other", Version: 2, Active: false})
	history := s.history()
	s.waitForUsers(history)
	if len(history) != 51 {
		t.Errorf("the log has %d users, want 51", len(history))
	}
}

// A command sent twice has two outcomes, or one outcome if both have the same
// id.
func TestCreateTwice(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.accept(createAlice)
	s.accept(createAlice)
	const bob = `{"type":"createUser","payload":{"id":"bob","name":"Bob"},"id":"once"}`
	s.accept(bob)
	s.accept(bob)
	s.accept(`{"type":"renameUser","payload":{"id":"bob","name":"Robert"}}`)

	history := s.history()
	types := map[string][]string{}
	for stream, records := range history {
		for _, r := range records {
			types[stream] = append(types[stream], r.Type)
		}
	}
	want := map[string][]string{
		"user/1":   {"userCreated", eventlog.TypeCommandRefused},
		"user/bob": {"userCreated", "userRenamed"},
	}
	if diff := cmp.Diff(want, types); diff != "" {
		t.Errorf("the log (-want +got):\n%s", diff)
	}
	s.waitForUsers(history)
}
