package history

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// some is a log with an order with some history, a cancelled order, a refused
// order, a parcel with the id of an order, an order whose first event this binary
// can't read, and an order with such a later event.
func some() *projectiontest.Log {
	log := new(projectiontest.Log)
	log.Add("orderPlaced", "order/1", `{"id":"1","name":"Alice"}`)
	log.Add("orderPlaced", "order/a/b", `{"id":"a/b","name":"<Ärger>"}`)
	log.Again("order/a/b")
	log.Add("commandRefused", "order/1", `{"commandType":"placeOrder","problem":"order-exists","detail":""}`)
	log.Add("orderRenamed", "order/1", `{"id":"1","name":"Alison","addedByANewerBinary":true}`)
	log.Add("commandUnchanged", "order/1", `{"commandType":"placeOrder"}`)
	log.Add("orderNamed", "order/1", `{"id":"1","title":"<Al>"}`)
	log.Add("orderCancelled", "order/a/b", `{"id":"a/b"}`)
	log.Add("commandRefused", "order/404", `{"commandType":"placeOrder","problem":"order-not-found","detail":""}`)
	log.Add("parcelSent", "parcel/1", `{"id":"1"}`)
	log.Add("orderPlaced", "order/stale", "{\"id\":\"stale\",\"name\":\"\xff\"}")
	log.Add("orderPainted", "order/stale", `{"id":"stale"}`)
	log.Add("orderRenamed", "order/stale", `{"id":"stale","name":"later"}`)
	log.Add("orderPainted", "order/unreadable", `{"id":"unreadable"}`)
	return log
}

const notFound = `{"type":"urn:millrace:problem:order-not-found","title":"Order not found","status":404,"detail":"there is no such order"}`

func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, some(), "testdata/projection.golden", orders.Types...)
}

func client(t *testing.T, log *projectiontest.Log) *projectiontest.Client {
	t.Helper()
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(log)
	return m.Client(t, Model(orders.Registry).Routes)
}

func TestHistory(t *testing.T) {
	c := client(t, some())
	c.Want("/orders/1/history", 200, `[{"version":1,"type":"orderPlaced","time":"2026-01-02T12:00:00.045Z","data":{"id":"1","name":"Alice"},"commandId":"c-1"},`+
		`{"version":2,"type":"orderRenamed","time":"2026-01-02T12:00:04.045Z","data":{"id":"1","name":"Alison","addedByANewerBinary":true},"commandId":"c-5"},`+
		`{"version":3,"type":"orderRenamed","time":"2026-01-02T12:00:06.045Z","data":{"id":"1","name":"\u003cAl\u003e"},"commandId":"c-7"}]`)
	c.Want("/orders/a%2Fb/history", 200, `[{"version":1,"type":"orderPlaced","time":"2026-01-02T12:00:01.045Z","data":{"id":"a/b","name":"\u003cÄrger\u003e"},"commandId":"c-2"},`+
		`{"version":2,"type":"orderCancelled","time":"2026-01-02T12:00:07.045Z","data":{"id":"a/b"},"commandId":"c-8"}]`)
	c.Want("/parcels/1/history", 200, `[{"version":1,"type":"parcelSent","time":"2026-01-02T12:00:09.045Z","data":{"id":"1"},"commandId":"c-10"}]`)
	c.Want("/orders/stale/history", 200, `[{"version":1,"type":"orderPlaced","time":"2026-01-02T12:00:10.045Z","data":{"id":"stale","name":"`+"\uFFFD"+`"},"commandId":"c-11","stale":true}]`)
	c.Want("/orders/unreadable/history", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model stopped at the first event of this stream"}`)
	for _, id := range []string{"404", "2", "stats", "%2E%2E", "%00", "%ff"} {
		c.Want("/orders/"+id+"/history", 404, notFound)
	}
	c.Want("/parcels/a%2Fb/history", 404, strings.NewReplacer("order", "parcel", "Order", "Parcel").Replace(notFound))
}

// A row with an unknown event type is shown unchanged: a newer query service wrote
// the row.
func TestARowOfANewerBinary(t *testing.T) {
	e := event{Type: "orderPainted"}
	if err := e.inTodaysForm(orders.Registry, "order/1", `{"id":"1"}`); err != nil || e.Type != "orderPainted" || string(e.Data) != `{"id":"1"}` {
		t.Errorf("%+v, %v", e, err)
	}
	if err := e.inTodaysForm(orders.Registry, "planet/1", `{"id":"1"}`); err != nil || string(e.Data) != `{"id":"1"}` {
		t.Errorf("%+v, %v", e, err)
	}
	e.Type = "orderNamed"
	if err := e.inTodaysForm(orders.Registry, "order/1", `{"id":`); err == nil {
		t.Errorf("a body that can't be upcast: %+v", e)
	}
}

func TestNotModified(t *testing.T) {
	c := client(t, some())
	form := orders.Aggregate.FoldVersion()[:8]
	for target, etag := range map[string]string{
		"/orders/1/history":         `W/"1-3-` + form + `"`,
		"/orders/1/history?limit=2": `W/"1-3-` + form + `"`,
		"/orders/stale/history":     `W/"1-1-` + form + `-stale"`,
	} {
		if got := c.Ask(http.MethodGet, target); got.Header.Get("ETag") != etag {
			t.Errorf("GET %s: ETag %s, want %s", target, got.Header.Get("ETag"), etag)
		}
		if got := c.Ask(http.MethodHead, target, "If-None-Match", etag); got.Status != 304 {
			t.Errorf("HEAD %s: status %d", target, got.Status)
		}
	}
}

// All pages together are the history, each event once.
func TestPages(t *testing.T) {
	log := new(projectiontest.Log)
	log.Add("orderPlaced", "order/a/b", `{"id":"a/b","name":"0"}`)
	log.Add("orderPlaced", "order/a", `{"id":"a","name":"another"}`)
	for n := 1; n < 250; n++ {
		log.Add("orderRenamed", "order/a/b", fmt.Sprintf(`{"id":"a/b","name":"%d"}`, n))
	}
	c := client(t, log)
	for query, sizes := range map[string][]int{
		"":           {100, 100, 50},
		"?limit=125": {125, 125},
		"?limit=250": {250},
		"?limit=249": {249, 1},
	} {
		target, next := "/orders/a%2Fb/history"+query, int64(1)
		for _, size := range sizes {
			got := c.Ask(http.MethodGet, target)
			var page []event
			if err := json.Unmarshal([]byte(got.Body), &page); err != nil || len(page) != size {
				t.Fatalf("GET %s: %d events, want %d: %v", target, len(page), size, err)
			}
			for _, e := range page {
				if e.Version != next {
					t.Fatalf("GET %s: version %d, want %d", target, e.Version, next)
				}
				next++
			}
			link := got.Header.Get("Link")
			if next > 250 {
				if link != "" {
					t.Errorf("GET %s: Link %s on the last page", target, link)
				}
				break
			}
			link, begins := strings.CutPrefix(link, "<"+projectiontest.PublicURL)
			link, ends := strings.CutSuffix(link, `>; rel="next"`)
			if !begins || !ends {
				t.Fatalf("GET %s: Link %s", target, got.Header.Get("Link"))
			}
			target = link
		}
	}
	c.Want("/orders/a%2Fb/history?after="+encodeCursor(250), 200, `[]`)
}

func TestWrongParameters(t *testing.T) {
	c := client(t, some())
	for query, detail := range map[string]string{
		"limit=0":           `{"parameter":"limit","detail":"must be an integer from 1 to 1000"}`,
		"limit=1001":        `{"parameter":"limit","detail":"must be an integer from 1 to 1000"}`,
		"limit=%2B1":        `{"parameter":"limit","detail":"must be an integer from 1 to 1000"}`,
		"limit=1&limit=1":   `{"parameter":"limit","detail":"must be given once"}`,
		"before=1":          `{"parameter":"before","detail":"is not a parameter of this query"}`,
		"after=":            `{"parameter":"after","detail":"must be a cursor as the Link header gave it"}`,
		"limit=x&after=ATE": `{"parameter":"limit","detail":"must be an integer from 1 to 1000"}`,
	} {
		c.Want("/orders/1/history?"+query, 400, `{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"the query parameters are not valid","errors":[`+detail+`]}`)
	}
}

// Clients hold cursors over upgrades: these never change.
func TestCursors(t *testing.T) {
	for token, version := range map[string]int64{"ATE": 1, "ATEwMDAwMDA": 1_000_000} {
		if got := encodeCursor(version); got != token {
			t.Errorf("encodeCursor(%d) = %s, want %s", version, got, token)
		}
		if got, err := parseCursor(token); got != version || err != nil {
			t.Errorf("parseCursor(%s) = %d, %v, want %d", token, got, err, version)
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, token := range []string{
		"", "!!", "ATE=", "AT\nE", encode([]byte("\x01")), encode([]byte("\x021")), encode([]byte("\x010")),
		encode([]byte("\x0101")), encode([]byte("\x01-1")), encode([]byte("\x019223372036854775808")),
	} {
		if version, err := parseCursor(token); err == nil {
			t.Errorf("parseCursor(%q) = %d, want an error", token, version)
		}
	}
}

func TestNotPrepared(t *testing.T) {
	c := projectiontest.Open(t, Projection, orders.Types...).Client(t, Model(orders.Registry).Routes)
	c.Want("/orders/1/history", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model isn't there yet"}`)
}
