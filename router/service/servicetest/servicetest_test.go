package servicetest_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/service"
	"github.com/millrace/millrace/router/service/servicetest"
)

// domain is a service of orders.
var domain = service.Domain{
	Title:      "Orders",
	Aggregates: []*aggregate.Type{orders.Aggregate},
	Models:     []query.Model{{Projection: names, Routes: routes}},
}

var names = &projection.Projection{
	Name: "names", Of: []string{"order"},
	Tables: []projection.Table{{Name: "names", Columns: []projection.Column{
		{Name: "id", Type: projection.Text, Key: true}, {Name: "name", Type: projection.Text},
	}}},
	Apply: func(rows projection.Rows, e projection.Event) error {
		if data, ok := e.Data.(*orders.OrderPlaced); ok {
			rows.Put("names", projection.Row{data.ID, data.Name})
		}
		return nil
	},
}

func routes(router *mux.Router, reader *query.Reader) {
	reader.Get(router, "/orders/{id}", func(w http.ResponseWriter, r *http.Request) error {
		return reader.ReadOne(w, r, names, orders.Aggregate, func(ctx context.Context, view query.View, id string, _ query.StreamHead) (any, error) {
			rows, err := view.Rows(ctx, "names", []projection.Row{{id}})
			return rows, err
		})
	})
}

func TestMain(m *testing.M) { servicetest.Main(m, domain) }

func TestService(t *testing.T) {
	t.Setenv("MILLRACE_LOG_LEVEL", "loud") // not for the service
	data := t.TempDir()
	s := servicetest.Start(t, data, "kafka.topic_prefix=test.")
	sent := s.Post(`{"type":"placeOrder","id":"c-1","payload":{"id":"a/b","name":"one"}}`).Want(202, `"id":"c-1"`)
	s.ReadAfter(sent.Position(), "/orders/a%2Fb").Want(200, `[["a/b","one"]]`)
	s.ReadAfter(sent.Position(), sent.Header.Get("Location")).Want(200, `"status":"succeeded"`)
	s.Post(`{"type":"placeOrder","payload":{"id":"a/b","name":"two"}}`, "Prefer", "wait=30").Want(409, "order-exists")
	s.Ask(http.MethodGet, s.Admin+"/livez", "").Want(200, "alive")
	if out := s.Run("verify", "names"); !strings.HasPrefix(out, "names: proven") {
		t.Errorf("verify: %s", out)
	}
	if out := s.Run("health"); !strings.Contains(out, "ready") {
		t.Errorf("health: %s", out)
	}
	s.Kill()

	s = servicetest.Start(t, data, "kafka.topic_prefix=test.")
	etag := s.Get("/orders/a%2Fb").Want(200, "one").Header.Get("ETag")
	s.Get("/orders/a%2Fb", "If-None-Match", etag).Want(304, "")
	s.Stop()
}

func TestCommand(t *testing.T) {
	t.Parallel()
	out, err := servicetest.Command(t, t.TempDir(), "nonsense").CombinedOutput()
	if want := "servicetest: unexpected argument nonsense; see servicetest --help\n"; err == nil || string(out) != want {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
}
