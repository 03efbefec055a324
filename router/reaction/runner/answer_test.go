package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/reaction"
)

// A team's reaction sees events in today's form, and how its own commands ended.
func TestOf(t *testing.T) {
	at := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	own := &eventlog.Origin{Reaction: "r"}
	refused := func(commandType, payload string) []byte {
		return fmt.Appendf(nil, `{"commandType":%q,"problem":"order-exists","detail":"no","payload":%s}`, commandType, payload)
	}
	for _, test := range []struct {
		name   string
		record eventlog.Record
		sees   string // "" for nothing
		fails  string
	}{
		{"an event", eventlog.Record{Stream: "order/1", Type: "orderPlaced", Body: []byte(`{"id":"1","name":"tea"}`)}, `*orders.OrderPlaced {"id":"1","name":"tea"}`, ""},
		{"an old event", eventlog.Record{Stream: "order/1", Type: "orderNamed", Body: []byte(`{"id":"1","title":"tea"}`)}, `*orders.OrderRenamed {"id":"1","name":"tea"}`, ""},
		{"an event of its own command", eventlog.Record{Stream: "order/1", Type: "orderCancelled", Body: []byte(`{"id":"1"}`), Origin: own}, `*orders.OrderCancelled {"id":"1"}`, ""},
		{"another aggregate", eventlog.Record{Stream: "parcel/1", Type: "parcelSent", Body: []byte(`{"id":"1"}`)}, "", ""},
		{"the router's own", eventlog.Record{Stream: "reaction/r/0", Type: "reactionStarted", Body: []byte(`{}`)}, "", ""},
		{"a client's refusal", eventlog.Record{Stream: "order/1", Type: "commandRefused", Body: refused("placeOrder", `{"id":"1","name":"tea"}`)}, "", ""},
		{"another reaction's", eventlog.Record{Stream: "order/1", Type: "commandRefused", Body: refused("placeOrder", `{"id":"1","name":"tea"}`), Origin: &eventlog.Origin{Reaction: "s"}}, "", ""},
		{"its refusal", eventlog.Record{Stream: "order/1", Type: "commandRefused", Body: refused("placeOrder", `{"id":"1","name":"tea"}`), Origin: own}, `*orders.PlaceOrder {"id":"1","name":"tea"} order-exists no`, ""},
		{"its refusal by another aggregate", eventlog.Record{Stream: "parcel/1", Type: "commandRefused", Body: refused("sendParcel", `{"id":"1"}`), Origin: own}, `*orders.SendParcel {"id":"1"} order-exists no`, ""},
		{"unchanged", eventlog.Record{Stream: "parcel/1", Type: "commandUnchanged", Body: []byte(`{"commandType":"sendParcel","payload":{"id":"1"}}`), Origin: own}, `*orders.SendParcel {"id":"1"}  `, ""},
		{"its cancel", eventlog.Record{Stream: "parcel/1", Type: "commandRefused", Body: refused("cancelScheduled", `{}`), Origin: own}, "", ""},
		{"parked", eventlog.Record{Stream: "parcel/1", Type: "commandParked", Body: []byte(`{}`), Origin: own}, "", ""},
		{"an unknown event", eventlog.Record{Stream: "order/1", Type: "orderLost", Body: []byte(`{"id":"1"}`)}, "", `unknown event type "orderLost"`},
		{"an unknown command", eventlog.Record{Stream: "order/1", Type: "commandRefused", Body: refused("loseOrder", `{}`), Origin: own}, "", "this binary does not know the command loseOrder"},
		{"an unreadable record", eventlog.Record{Stream: "order/1", Type: "orderPlaced", Unreadable: errors.New("no time")}, "", "no time"},
		{"an unreadable record of another", eventlog.Record{Stream: "parcel/1", Type: "parcelSent", Unreadable: errors.New("no time")}, "", ""},
	} {
		sees := ""
		r := Of(&reaction.Reaction{Name: "r", Of: []string{"order"}, React: func(r reaction.Record) ([]reaction.Command, error) {
			if r.Stream != test.record.Stream || r.AggregateID != "1" || r.Seq != 4 || r.Version != 3 || !r.Time.Equal(at) {
				t.Errorf("%s: %+v", test.name, r)
			}
			if r.Event != nil {
				body, err := json.Marshal(r.Event)
				sees = fmt.Sprintf("%T %s", r.Event, body)
				return nil, err
			}
			body, err := json.Marshal(r.Ended.Command)
			sees = fmt.Sprintf("%T %s %s %s", r.Ended.Command, body, r.Ended.Refusal, r.Ended.Detail)
			return nil, err
		}}, orders.Registry)
		record := test.record
		record.Seq, record.Version, record.Time = 4, 3, at
		_, err := r.React(&record)
		if sees != test.sees || err == nil != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%s: sees %q, %v, want %q, %q", test.name, sees, err, test.sees, test.fails)
		}
	}
}

// Commands are written as the gateway writes commands, and a command that nobody
// could read fails.
func TestEnvelopes(t *testing.T) {
	version, later := uint64(3), time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	all := Of(&reaction.Reaction{Name: "r", React: func(reaction.Record) ([]reaction.Command, error) {
		return []reaction.Command{
			{Command: orders.PlaceOrder{ID: "1", Name: "<tea>"}, ExpectedVersion: &version},
			reaction.Later(&orders.SendParcel{ID: "2"}, later), reaction.Cancel(orders.SendParcel{ID: "2"}),
		}, nil
	}}, orders.Registry)
	record := &eventlog.Record{Stream: "order/1", Type: "orderCancelled", Body: []byte(`{"id":"1"}`)}
	envelopes, err := all.React(record)
	if err != nil || len(envelopes) != 3 {
		t.Fatal(envelopes, err)
	}
	for i, want := range []string{
		`order/1 placeOrder {"id":"1","name":"<tea>"} 3 false`, `parcel/2 sendParcel {"id":"2"} 0 true`,
		`parcel/2 cancelScheduled {"stream":"parcel/2","commandType":"sendParcel"} 0 false`,
	} {
		e := envelopes[i]
		expected := uint64(0)
		if e.ExpectedVersion != nil {
			expected = *e.ExpectedVersion
		}
		if got := fmt.Sprintf("%s %s %s %d %v", e.Stream, e.Type, e.Body, expected, e.NotBefore.Equal(later)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	lossy := Of(&reaction.Reaction{Name: "r", React: func(reaction.Record) ([]reaction.Command, error) {
		return []reaction.Command{reaction.Send(nameless{})}, nil
	}}, orders.Registry)
	if _, err := lossy.React(record); err == nil || err.Error() != "command 0: sendParcel can't be read back: /id is required" {
		t.Error(err)
	}
}

type nameless struct{ aggregate.AnyCommand }

func (nameless) Type() string                 { return "sendParcel" }
func (nameless) AggregateID() string          { return "1" }
func (nameless) MarshalJSON() ([]byte, error) { return []byte(`{}`), nil }
