package service

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// buyer sends the commands of one order, one after the other until the context
// ends: a new item each time, until the order is full, then always another that
// is refused. The command ids are those that a [customer] of the same id uses.
type buyer struct {
	id       string
	accepted int
}

func (b *buyer) order(ctx context.Context, s *stack) error {
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	for n := 1; ; n++ {
		command := fmt.Sprintf(`{"type":"addItem","payload":{"order":%q,"item":"Item %d"},"id":"%s-%d"}`, b.id, n, b.id, n)
		err := retry(context.WithoutCancel(ctx), func() error {
			got, err := s.tryPost(command)
			if err == nil && got.status != http.StatusAccepted {
				err = fmt.Errorf("%s", got)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("POST %s: %w", command, err)
		}
		b.accepted++
		select {
		case <-ctx.Done():
			return nil
		case <-pace.C:
		}
	}
}

// A user and an order of the same id are two streams: their commands, with the
// same command ids, come interleaved while the command service is killed again
// and again. Every command has one outcome, every stream is whole, and every
// read model is what the log makes of them.
func TestTwoAggregates(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(withOrders, "1")
	s.startTerminals()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	const each = 3
	c := s.crowd(each)
	buyers, buying := make([]*buyer, each), new(errgroup.Group)
	for i := range buyers {
		buyers[i] = &buyer{id: fmt.Sprint(i + 1)}
		buying.Go(func() error { return buyers[i].order(ctx, s) })
	}
	for range size(3, 10) {
		c.waitForMore(c.customers)
		s.commandService.kill()
		s.commandService.start()
	}
	c.waitForMore(c.customers)
	stop()
	c.stop()
	for _, clients := range []*errgroup.Group{buying, c.working} {
		if err := clients.Wait(); err != nil {
			t.Fatal(err)
		}
	}

	history := s.history() // each command has one outcome, in order
	if len(history) != 2*each {
		t.Errorf("the log has %d streams, want %d", len(history), 2*each)
	}
	for i := range each {
		id := fmt.Sprint(i + 1)
		user, order := history["user/"+id], history["order/"+id]
		if want := int(c.customers[i].accepted.Load()); len(user) != want {
			t.Errorf("user %s: %d outcomes, and %d commands were accepted", id, len(user), want)
		}
		if want := buyers[i].accepted; len(order) != want {
			t.Errorf("order %s: %d outcomes, and %d commands were accepted", id, len(order), want)
		}
		s.wantStream(user, len(user))
		s.wantStream(order, fullOrder)
	}
	s.waitForUsers(history)
	s.wantProven()
	s.wantApp(exitOK, []string{"nothing is parked"}, "projections", "parked")
	for _, b := range buyers {
		s.waitForPieces([]string{b.id}, fullOrder)
	}
	s.wantChanges(history)
}

// wantStream checks a stream's records, of which so many are events and come
// first, against what the read API says: the history, and each command's status.
func (s *stack) wantStream(records []eventlog.Record, events int) {
	s.t.Helper()
	stream := records[0].Stream
	name, id, _ := aggregate.SplitStream(stream)
	path := "/" + map[string]string{"user": "users", "order": "orders"}[name] + "/" + id
	after := eventlog.EncodePosition(eventlog.Position{records[0].Partition: records[len(records)-1].Offset + 1})
	for i, r := range records {
		version, want := min(i+1, events), "succeeded"
		if i >= events {
			want = "refused"
		}
		if r.Seq != uint64(i+1) || r.Version != uint64(version) || eventlog.IsEvent(r.Type) != (i < events) {
			s.t.Errorf("%s, record %d: %s with number %d, version %d", stream, i+1, r.Type, r.Seq, r.Version)
		}
		var st status
		_, err := s.getAfter(s.readAPI, path+"/commands/"+r.CommandID, after, &st)
		if err != nil || st.Stream != stream || st.Status != want || want == "succeeded" && st.Version != r.Version {
			s.t.Errorf("%s: the status of command %s is %+v, %v, want %s at version %d", stream, r.CommandID, st, err, want, r.Version)
		}
	}
	type event struct {
		Version   int
		CommandID string
	}
	var history []event
	for next := path + "/history?limit=100"; next != ""; {
		var page []event
		got, err := s.getAfter(s.readAPI, next, after, &page)
		if err != nil {
			s.t.Error(err)
			return
		}
		history = append(history, page...)
		next = ""
		if link := got.header.Get("Link"); link != "" {
			to, err := url.Parse(strings.TrimSuffix(strings.TrimPrefix(link, "<"), `>; rel="next"`))
			if err != nil {
				s.t.Fatal(err)
			}
			next = to.RequestURI()
		}
	}
	if len(history) != events {
		s.t.Errorf("%s: the history has %d events, want %d", stream, len(history), events)
		return
	}
	for i, e := range history {
		if e.Version != i+1 || e.CommandID != records[i].CommandID {
			s.t.Errorf("%s: event %d of the history is %+v, of command %s in the log", stream, i+1, e, records[i].CommandID)
		}
	}
}

// wantChanges checks what GET /changes has told from the log's beginning on, of
// each aggregate and of both.
func (s *stack) wantChanges(history map[string][]eventlog.Record) {
	s.t.Helper()
	for query, of := range map[string]string{"": "", "?of=users": "user/", "?of=orders": "order/"} {
		want := map[string]string{} // the stream, by command, of events
		for stream, records := range history {
			for _, r := range records {
				if eventlog.IsEvent(r.Type) && strings.HasPrefix(stream, of) {
					want[stream+" "+r.CommandID] = r.Type
				}
			}
		}
		got, err := s.readChanges("/changes"+query, len(want))
		if err != nil {
			s.t.Errorf("GET /changes%s: %v", query, err)
		}
		for _, change := range got {
			key := change.Stream + " " + change.CommandID
			if want[key] != change.Type {
				s.t.Errorf("GET /changes%s has %+v, and the log %q", query, change, want[key])
			}
			delete(want, key)
		}
		if len(want) > 0 {
			s.t.Errorf("GET /changes%s lacks %d events", query, len(want))
		}
	}
}

// change is an event as GET /changes tells it.
type change struct{ Stream, Type, CommandID string }

// readChanges reads so many changes, from the log's beginning on.
func (s *stack) readChanges(path string, n int) (changes []change, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.readAPI.at.Queries+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Last-Event-ID", eventlog.EncodePosition(nil))
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for len(changes) < n && lines.Scan() {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
			var c change
			if err := json.Unmarshal([]byte(data), &c); err != nil {
				return changes, err
			}
			changes = append(changes, c)
		}
	}
	return changes, lines.Err()
}

// An order that is parked leaves the user of the same id alone. It is looked at,
// requeued and dropped by the name of its stream.
func TestParkedOrder(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(withOrders, "1")
	s.setenv(brokenRule, "broken")
	s.startOneProcess()
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"New"}}`)
	for _, id := range []string{"1", "2"} {
		poison := fmt.Sprintf(`{"type":"addItem","payload":{"order":%q,"item":"poison"},"id":"p"}`, id)
		wantProblem(t, s.wait(poison), http.StatusInternalServerError, "command-parked")
		s.accept(fmt.Sprintf(`{"type":"addItem","payload":{"order":%q,"item":"Behind"},"id":"behind"}`, id))
		s.waitForStatus("http://localhost:3002/orders/"+id+"/commands/behind", "parked")
	}
	if got := s.wait(`{"type":"renameUser","payload":{"id":1,"name":"Else"}}`); got.status != http.StatusOK || !strings.Contains(got.body, `"stream":"user/1"`) {
		t.Errorf("a command of the user: %s", got)
	}
	list, code := s.app("parked", "list")
	if code != exitOK || !strings.Contains(list, "order/1 ") || !strings.Contains(list, "order/2 ") || strings.Contains(list, "user/") {
		t.Errorf("parked list: exit code %d\n%s", code, list)
	}
	s.wantApp(exitOK, []string{"1. addItem p", "poison", "2. addItem behind"}, "parked", "show", "order/1")
	for _, args := range [][]string{{"show", "user/1"}, {"requeue", "user/1"}, {"drop", "user/1", "p"}, {"requeue", "1"}} {
		s.wantApp(exitFailed, []string{"stream " + args[1] + " is not parked"}, append([]string{"parked"}, args...)...)
	}
	s.wantApp(exitFailed, []string{"parked again; see app parked show order/1"}, "parked", "requeue", "order/1")
	s.wantApp(exitOK, []string{"is refused", "1 more go on behind it"}, "parked", "drop", "order/2", "p")

	s.setenv(brokenRule, "mended")
	s.commandService.kill()
	s.commandService.start()
	s.wantApp(exitOK, []string{"addItem p succeeded; order/1 is at version 1", "1 more go on behind it"}, "parked", "requeue", "order/1")
	s.wantApp(exitOK, []string{"nothing is parked"}, "parked", "list")
	s.waitForUser(user{ID: "1", Name: "Else", Version: 2, Active: true})
	for id, want := range map[string]string{
		"order/1": "[commandParked commandQueued parkedRequeued commandParked parkedRequeued itemAdded itemAdded]",
		"order/2": "[commandParked commandQueued parkedDropped commandRefused itemAdded]",
		"user/1":  "[userCreated userRenamed]",
	} {
		var types []string
		for _, r := range s.readLog()[id] {
			types = append(types, r.Type)
		}
		if fmt.Sprint(types) != want {
			t.Errorf("the log of %s has %v, want %s", id, types, want)
		}
	}
	s.wantProven()
}

// A command that no aggregate has is told all that there are; an id that the
// command's aggregate refuses is told by its place.
func TestCommandsOfNoAggregate(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(withOrders, "1")
	s.startOneProcess()
	for _, test := range []struct{ command, pointer, detail string }{
		{
			`{"type":"addPiece","payload":{"order":"1"}}`, "/type",
			"must be one of createUser, renameUser, deactivateUser, reactivateUser, deleteUser, changeEmail, addItem, payOrder, cancelScheduled",
		},
		{`{"type":"addItem","payload":{"order":"A-1","item":"x"}}`, "/payload/order", "must be 1 to 8 characters, none of them a capital"},
		{`{"type":"payOrder","payload":{"order":""}}`, "/payload/order", "must be 1 to 8 characters, none of them a capital"},
		{`{"type":"payOrder","payload":{"order":"\u0001"}}`, "/payload/order", "must be 1 to 128 characters without control characters, other than one dot and two dots"},
		{`{"type":"createUser","payload":{"id":-1,"name":"x"}}`, "/payload/id", ""},
	} {
		got := s.post(test.command)
		wantProblem(t, got, http.StatusBadRequest, "invalid-request")
		var problem struct {
			Errors []struct{ Pointer, Detail string }
		}
		err := json.Unmarshal([]byte(got.body), &problem)
		if err != nil || len(problem.Errors) != 1 || problem.Errors[0].Pointer != test.pointer || !strings.HasPrefix(problem.Errors[0].Detail, test.detail) {
			t.Errorf("POST %s: %s, want one error at %s: %s", test.command, got, test.pointer, test.detail)
		}
	}
	if n := len(s.dump(eventlog.TopicCommands)); n > 0 {
		t.Errorf("topic commands has %d messages", n)
	}
	for _, path := range []string{"/orders/A/history", "/orders/A/commands/c", "/orders/1/history", "/orders/1", "/order/1/history"} {
		if got, err := s.get(path); err != nil || got.status != http.StatusNotFound {
			t.Errorf("GET %s: %s, %v", path, got, err)
		}
	}
}
