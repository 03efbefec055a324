package telemetry

import (
	"math"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

func TestCounts(t *testing.T) {
	t.Parallel()
	m := NewMetrics(Build{}, []string{"createOrder"}, everything)
	before := m.Counts()
	m.WriteSide().Accepted("createOrder")
	m.WriteSide().Accepted("unknown")
	m.WriteSide().Decided("createOrder", &eventlog.Record{Type: eventlog.TypeCommandRefused, Time: time.Now().Add(-2 * time.Second)})
	m.WriteSide().DeadLettered()
	m.Visible("orders")(20 * time.Millisecond)
	c := m.Counts()
	if c.Accepted != 2 || c.DeadLetters != 1 || c.Decided != [outcomes]float64{2: 1} {
		t.Errorf("%+v", c)
	}
	if p50, ok := c.Outcome.Since(before.Outcome).Quantile(0.5); !ok || p50 < 1 || p50 > 2.5 {
		t.Errorf("p50 to the outcome: %v %v", p50, ok)
	}
	if p99, ok := c.Visible["orders"].Since(before.Visible["orders"]).Quantile(0.99); !ok || p99 < .01 || p99 > .025 {
		t.Errorf("p99 to the commit: %v %v", p99, ok)
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	h := Histogram{Count: 10, Bounds: []float64{1, 2, 4}, Below: []uint64{0, 4, 8}}
	for q, want := range map[float64]float64{0: 1, 0.2: 1.5, 0.4: 2, 0.6: 3, 0.8: 4, 0.99: 4} {
		if got, ok := h.Quantile(q); !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if _, ok := (Histogram{}).Quantile(0.5); ok {
		t.Error("there is a quantile of nothing")
	}
}
