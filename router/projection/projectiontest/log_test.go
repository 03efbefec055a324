package projectiontest

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

func TestEventAndRefused(t *testing.T) {
	log := new(Log)
	log.Event(orders.Aggregate, orders.OrderPlaced{ID: "1", Name: "<Ada>"})
	log.Refused(orders.Aggregate, "1", "placeOrder", orders.ErrExists)
	for i, want := range []eventlog.Record{
		{Type: "orderPlaced", Version: 1, Body: []byte(`{"id":"1","name":"<Ada>"}`)},
		{Type: "commandRefused", Version: 1, Body: []byte(`{"commandType":"placeOrder","problem":"order-exists","detail":"the order exists already"}`)},
	} {
		got := log.all[i]
		if got.Stream != "order/1" || got.Type != want.Type || got.Version != want.Version || string(got.Body) != string(want.Body) {
			t.Errorf("record %d is %s of %s, version %d: %s", i, got.Type, got.Stream, got.Version, got.Body)
		}
	}
}

// Event panics for an event that no service could have written.
func TestEventOfAnotherAggregate(t *testing.T) {
	defer func() {
		if value, _ := recover().(string); !strings.Contains(value, "orderPlaced") {
			t.Errorf("recovered %q", value)
		}
	}()
	new(Log).Event(orders.Parcels, orders.OrderPlaced{ID: "1"})
}
