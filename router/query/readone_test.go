package query_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

// titles keeps the name of each order. A cancelled order has no row.
func titles() *projection.Projection {
	return &projection.Projection{
		Name: "titles", Of: []string{"order"},
		Tables: []projection.Table{{Name: "titles", Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true}, {Name: "title", Type: projection.Text},
		}}},
		Apply: func(rows projection.Rows, e projection.Event) error {
			switch data := e.Data.(type) {
			case *orders.OrderPlaced:
				rows.Put("titles", projection.Row{data.ID, data.Name})
			case *orders.OrderRenamed:
				rows.Put("titles", projection.Row{data.ID, data.Name})
			case *orders.OrderCancelled:
				rows.Delete("titles", data.ID)
			}
			return nil
		},
	}
}

// titleRoutes adds GET /orders/{id}, and a route of an aggregate that the read
// model is not of.
func titleRoutes(p *projection.Projection) func(*mux.Router, *query.Reader) {
	read := func(ctx context.Context, view query.View, id string, head query.StreamHead) (any, error) {
		rows, err := view.Rows(ctx, "titles", []projection.Row{{id}})
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			return nil, &web.Problem{Slug: "order-cancelled", Status: http.StatusGone, Title: "Order cancelled"}
		}
		return map[string]any{"id": id, "title": rows[0][1], "version": head.Version, "stale": head.Parked != ""}, nil
	}
	return func(router *mux.Router, reader *query.Reader) {
		for path, t := range map[string]*aggregate.Type{"/orders/{id}": orders.Aggregate, "/parcels/{id}": orders.Parcels} {
			reader.Get(router, path, func(w http.ResponseWriter, r *http.Request) error {
				return reader.ReadOne(w, r, p, t, read)
			})
		}
	}
}

func TestReadOne(t *testing.T) {
	p := titles()
	m := projectiontest.Open(t, p, orders.Types...)
	c := m.Client(t, titleRoutes(p))
	log := new(projectiontest.Log)
	log.Add("orderPlaced", "order/a/b", `{"id":"a/b","name":"one"}`)
	log.Add("orderPlaced", "order/gone", `{"id":"gone","name":"one"}`)
	log.Add("orderCancelled", "order/gone", `{"id":"gone"}`)
	log.Add("commandRefused", "order/refused", `{"commandType":"placeOrder","problem":"order-exists","detail":""}`)
	log.Add("orderPainted", "order/unknown", `{"id":"unknown"}`)
	m.Fold(log)

	first := c.Want("/orders/a%2Fb", 200, `{"id":"a/b","stale":false,"title":"one","version":1}`).Header.Get("ETag")
	form := orders.Aggregate.FoldVersion()[:8]
	if want := `W/"1-1-` + form + `"`; first != want {
		t.Errorf("ETag %s, want %s", first, want)
	}
	if got := c.Ask(http.MethodGet, "/orders/a%2Fb", "If-None-Match", first); got.Status != 304 || got.Body != "" || got.Header.Get("ETag") != first {
		t.Errorf("the same version: %d %s", got.Status, got.Body)
	}
	if got := c.Ask(http.MethodHead, "/orders/a%2Fb"); got.Status != 200 || got.Body != "" {
		t.Errorf("HEAD: %d %s", got.Status, got.Body)
	}
	const notFound = `{"type":"urn:millrace:problem:order-not-found","title":"Order not found","status":404,"detail":"there is no such order"}`
	for _, id := range []string{"never", "refused", "%ff", "%00"} {
		c.Want("/orders/"+id, 404, notFound)
	}
	gone := c.Want("/orders/gone", 410, `{"type":"urn:millrace:problem:order-cancelled","title":"Order cancelled","status":410}`)
	if got := gone.Header.Get("ETag"); got != "" {
		t.Errorf("a problem has the ETag %s", got)
	}
	c.Want("/orders/unknown", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model stopped at the first event of this stream"}`)
	c.Want("/parcels/1", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the service can't answer this now; try again"}`)

	log.Add("orderRenamed", "order/a/b", `{"id":"a/b","name":"two"}`)
	m.Fold(log)
	got := c.Ask(http.MethodGet, "/orders/a%2Fb", "If-None-Match", first)
	if got.Status != 200 || got.Header.Get("ETag") != `W/"1-2-`+form+`"` {
		t.Errorf("a new version: %d %s, ETag %s", got.Status, got.Body, got.Header.Get("ETag"))
	}
	log.Add("orderPainted", "order/a/b", `{"id":"a/b"}`)
	m.Fold(log)
	got = c.Want("/orders/a%2Fb", 200, `{"id":"a/b","stale":true,"title":"two","version":2}`)
	if etag := got.Header.Get("ETag"); etag != `W/"1-2-`+form+`-stale"` {
		t.Errorf("a parked stream has the ETag %s", etag)
	}
	if got := c.Ask(http.MethodGet, "/orders/a%2Fb", "Read-After", got.Header.Get("Position")); got.Status != 503 {
		t.Errorf("a parked stream under Read-After: %d %s", got.Status, got.Body)
	}
}
