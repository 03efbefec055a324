package service

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// ordered is an event in the history of an order, as clients see it.
type ordered struct {
	Version int
	Type    string
	Data    struct {
		Order, Item string
		Pieces      *int
	}
}

func (s *stack) orderHistory(id string) (history []ordered, err error) {
	got, err := s.get("/orders/" + id + "/history")
	if err != nil || got.status != http.StatusOK {
		return nil, fmt.Errorf("history of order %s: %s %w", id, got, err)
	}
	err = json.Unmarshal([]byte(got.body), &history)
	return history, err
}

// add sends a command that adds an item to an order, through one of these
// services, and returns how it ended.
func (s *stack) add(via []*service, order string, n int) outcome {
	s.t.Helper()
	id := fmt.Sprintf("%s-%d", order, n)
	got, err := ask(s.t.Context(), s, via, 0, id, fmt.Sprintf(`{"type":"addItem","payload":{"order":%q,"item":"Item %d"}}`, order, n))
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// A release with another form of an event, of another type, is rolled out beside
// the one before. Old events are never rewritten: the newer binary reads them in
// today's form, in decisions, in every read model, in the history and in verify.
// The older binary decides nothing about a stream with a newer event: the commands
// wait, all other streams go on, and the newer binary decides the commands.
func TestRollingUpgradeOfAnEvent(t *testing.T) {
	t.Parallel()
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h"} // in several partitions
	s := newStack(t)
	s.setenv(withOrders, "1")
	s.startTerminals()
	old := []*service{s.commandService, s.commandService}
	for n := range 3 {
		for _, id := range ids {
			s.add(old, id, n)
		}
	}
	s.waitForPieces(ids, 3)
	s.add(old, "quiet", 0) // nothing happens to this one any more
	s.waitForPieces([]string{"quiet"}, 1)
	var before answer
	eventually(t, "the history of the quiet order", func() (err error) {
		if before, err = s.get("/orders/quiet/history"); err == nil && !strings.Contains(before.body, `"type":"itemAdded"`) {
			err = errors.New(before.String())
		}
		return err
	})

	// The newer release, beside the older.
	s.setenv(withOrders, "2")
	newer := s.service(settings{"data_dir": s.shared["data_dir"] + "-newer"}, "--config", shipped(t, "command-service.yaml"))
	newerQueries := s.service(nil, "--config", shipped(t, "query-service.yaml"))
	newer.launch()
	newerQueries.launch()
	newer.waitUntilReady(t)
	newerQueries.waitUntilReady(t)
	both := []*service{s.commandService, newer}
	for _, id := range ids {
		s.add(both, id, 3)
	}
	byType := map[string]int{}
	history := s.history()
	for _, id := range ids {
		byType[history["order/"+id][3].Type]++
	}
	if byType["itemAdded"] == 0 || byType["piecesAdded"] == 0 {
		t.Fatalf("the two releases have not shared the partitions: %v", byType)
	}

	// The newer one is away: the older has all partitions, and stays in the group.
	// What stands behind a newer event waits.
	newer.signal(t, syscall.SIGTERM)
	newer.exit(t, patience)
	s.commandService.waitUntilReady(t)
	for _, id := range ids {
		s.accept(fmt.Sprintf(`{"type":"addItem","payload":{"order":%q,"item":"Item 4"},"id":"%s-4"}`, id, id))
	}
	waiting := byType["piecesAdded"]
	s.waitForMetrics(s.commandService, fmt.Sprint("millrace_state_waiting_streams ", waiting), "millrace_state_parked_streams 0")
	s.commandService.waitUntilReady(t)
	if got := s.add(old, "other", 0); got.status != http.StatusOK {
		t.Errorf("an order without newer events: %+v", got)
	}
	s.setenv(withOrders, "1")
	if list, code := s.app("parked", "list"); code != exitOK || strings.Count(list, "unknown-event") != waiting {
		t.Errorf("the older release lists, with exit code %d:\n%s", code, list)
	}
	s.setenv(withOrders, "2")
	s.wantApp(exitOK, []string{"nothing is parked"}, "parked", "list") // this binary can decide the commands
	newer.start()
	s.commandService.signal(t, syscall.SIGTERM)
	s.commandService.exit(t, patience)
	for _, id := range ids { // what the older one has taken, the newer one decides
		eventually(t, "order "+id+" goes on", func() error {
			records := s.readLog()["order/"+id]
			if last := records[len(records)-1]; last.CommandID != id+"-4" {
				return fmt.Errorf("its last record is %s of %s", last.Type, last.CommandID)
			}
			return nil
		})
		eventually(t, "the older read API has the history", func() error {
			history, err := s.orderHistory(id)
			if err == nil && len(history) < 3 {
				err = fmt.Errorf("%+v", history)
			}
			return err
		})
		s.add([]*service{newer, newer}, id, 5)
	}
	eventually(t, "the older query service parks what it can't read", func() error {
		if list, code := s.app("projections", "parked", "orders"); code != exitOK || !strings.Contains(list, `unknown event type "piecesAdded"`) {
			return fmt.Errorf("exit code %d\n%s", code, list)
		}
		return nil
	})

	s.wantApp(exitOK, []string{"orders: proven", "this binary can go on there: app projections retry orders order/"}, "verify", "orders")

	// The rest of the rolling upgrade.
	s.commandService.start()
	for _, service := range []*service{s.queryService, s.readAPI} {
		service.signal(t, syscall.SIGTERM)
		service.exit(t, patience)
		service.start()
	}
	newerQueries.signal(t, syscall.SIGTERM)
	newerQueries.exit(t, patience)
	for _, p := range s.allModels() {
		s.wantApp(exitOK, nil, "projections", "retry", p.Name) // what the older query service could not read
	}
	s.wantApp(exitOK, []string{"nothing is parked"}, "projections", "parked")
	s.wantApp(exitOK, []string{"nothing is parked"}, "parked", "list")
	s.wantAllInTodaysForm(ids)
	s.wantProven()
	if after, err := s.getIfChanged("/orders/quiet/history", before.header.Get("ETag")); err != nil ||
		!strings.Contains(after.body, `"data":{"order":"quiet","item":"Item 0","pieces":1}`) {
		t.Errorf("a client that holds the older release's history gets %s, %v", after, err)
	}
}

// getIfChanged asks the read API for an answer other than the one with this ETag.
func (s *stack) getIfChanged(path, etag string) (answer, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+s.readAPI.at.Queries+path, http.NoBody)
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("If-None-Match", etag)
	return do(s.client, request)
}

// waitForPieces waits until the read model has so many pieces in each order.
func (s *stack) waitForPieces(ids []string, want int) {
	s.t.Helper()
	eventually(s.t, "the read model of orders", func() error {
		for _, id := range ids {
			if row, err := s.orderRow(id); err != nil || row.Pieces != want {
				return fmt.Errorf("order %s is %+v, want %d pieces; %w", id, row, want, err)
			}
		}
		return nil
	})
}

func (s *stack) orderRow(id string) (row orderRow, err error) {
	got, err := s.get("/orders/" + id)
	if err == nil && got.status != http.StatusOK {
		err = errors.New(got.String())
	}
	if err != nil {
		return row, err
	}
	return row, json.Unmarshal([]byte(got.body), &row)
}

// wantAllInTodaysForm fills the orders by commands that the newer release decides,
// and checks that old and new events count alike everywhere.
func (s *stack) wantAllInTodaysForm(ids []string) {
	t := s.t
	t.Helper()
	of := ordersOf("2")
	for _, id := range ids {
		stream, pieces, last := of.Stream(id), 0, outcome{}
		for n := 6; last.status == 0 || last.status == http.StatusOK; n++ {
			last = s.add([]*service{s.commandService, s.commandService}, id, n)
		}
		want := []ordered{}
		records := s.readLog()[stream]
		written := map[string]int{}
		var state any
		for _, r := range records[:len(records)-1] {
			if !eventlog.IsEvent(r.Type) { // a command that waited for the newer release
				continue
			}
			written[r.Type]++
			event, err := of.DecodeEvent(r.Type, r.Body)
			if err != nil {
				t.Fatal(err)
			}
			today, ok := event.(*piecesAdded)
			if !ok {
				t.Fatalf("%s, version %d: %T", stream, r.Version, event)
			}
			state = of.Apply(state, event)
			pieces += today.Pieces
			e := ordered{Version: int(r.Version), Type: "piecesAdded"}
			e.Data.Order, e.Data.Item, e.Data.Pieces = today.Order, today.Item, &today.Pieces
			want = append(want, e)
		}
		if written["itemAdded"] < 3 || written["piecesAdded"] == 0 {
			t.Errorf("the log of %s has %v", stream, written)
		}
		// Decided on what old and new events make together: not too early, and not
		// too late.
		if full := records[len(records)-1]; full.Type != "commandRefused" || last.status != http.StatusConflict || pieces < fullOrder || pieces > fullOrder+1 {
			t.Errorf("%s is refused with %d at %d pieces, and the log has %s", stream, last.status, pieces, full.Type)
		}
		if state != any(order{Pieces: pieces}) {
			t.Errorf("the state of %s is %+v, want %d pieces", stream, state, pieces)
		}
		s.waitForPieces([]string{id}, pieces)
		eventually(t, "the history of "+stream, func() error {
			got, err := s.orderHistory(id)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				return fmt.Errorf("%w (-want +got):\n%s", err, diff)
			}
			return nil
		})
	}
	changes, err := s.readChanges("/changes?of=orders", 7*len(ids)+2)
	if err != nil || slices.ContainsFunc(changes, func(c change) bool { return c.Type != "piecesAdded" }) {
		t.Errorf("GET /changes?of=orders: %v, %v", changes, err)
	}
}
