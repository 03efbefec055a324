package history

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

// twoAggregates is a log of orders and parcels with the same ids.
func twoAggregates(n int) *projectiontest.Log {
	log := new(projectiontest.Log)
	for i := range n {
		log.Add("orderPlaced", fmt.Sprint("order/", i), fmt.Sprintf(`{"id":"%d","name":"n"}`, i))
		log.Add("parcelSent", fmt.Sprint("parcel/", i), fmt.Sprintf(`{"id":"%d"}`, i))
	}
	return log
}

// A client follows one aggregate, or all aggregates: old changes, new changes, and
// from any id on.
func TestChangesOf(t *testing.T) {
	m, log := projectiontest.Open(t, Projection, orders.Types...), twoAggregates(20)
	m.Fold(log)
	server, _ := serveChanges(t, m)
	more := func() { // while the first client follows
		for i := 20; i < 25; i++ {
			log.Add("orderPlaced", fmt.Sprint("order/", i), fmt.Sprintf(`{"id":"%d","name":"n"}`, i))
			log.Add("parcelSent", fmt.Sprint("parcel/", i), fmt.Sprintf(`{"id":"%d"}`, i))
		}
		m.Fold(log)
	}
	for _, test := range []struct {
		query string
		want  map[string]int
	}{
		{"?of=orders", map[string]int{"orderPlaced": 25}},
		{"?of=parcels", map[string]int{"parcelSent": 25}},
		{"", map[string]int{"orderPlaced": 25, "parcelSent": 25}},
	} {
		total, got, last := 0, map[string]int{}, "AQ"
		for _, count := range test.want {
			total += count
		}
		for n := 0; n < total; {
			until := n + 7 // and then another connection
			err := listenTo(t.Context(), server.URL+"/changes"+test.query, last, func(e sse) bool {
				if last = e.id; e.event == "" {
					return true
				}
				got[e.event]++
				if n++; n == 20 && more != nil {
					more()
					more = nil
				}
				return n < until && n < total
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.query, diff)
		}
	}
}

// A client of one aggregate hears now and then how far the changes of other
// aggregates are, or the client would pass all changes again after a break.
func TestHeartbeatsPastOtherAggregates(t *testing.T) {
	m, log := projectiontest.Open(t, Projection, orders.Types...), new(projectiontest.Log)
	m.Fold(log)
	synctest.Test(t, func(t *testing.T) {
		router := web.NewRouter()
		Model(orders.Registry).Routes(router, &query.Reader{Store: m.Store, Log: slog.New(slog.DiscardHandler)})
		ctx, leave := context.WithTimeout(t.Context(), 50*time.Second)
		defer leave()
		var at []string // after the changes of each heartbeat
		go func() {
			for i := range 6 { // of 3 to 28 seconds
				time.Sleep(3 * time.Second)
				log.Add("orderPlaced", fmt.Sprint("order/", i), fmt.Sprintf(`{"id":"%d","name":"n"}`, i))
				m.Fold(log)
				if i == 2 || i == 5 {
					at = append(at, eventlog.EncodePosition(log.Position()))
				}
				time.Sleep(2 * time.Second)
			}
		}()
		w := patientWriter{httptest.NewRecorder()}
		router.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/changes?of=parcels", http.NoBody))
		want := "id: AQ\n\n" + "id: " + at[0] + "\n\n" + "id: " + at[1] + "\n\n" + ": alive\n\n"
		if got := withoutRetry(t, w.Body.String()); got != want {
			t.Errorf("got %s, want %s", strings.ReplaceAll(got, "\n", "|"), strings.ReplaceAll(want, "\n", "|"))
		}
		time.Sleep(time.Second) // until nobody polls any more
	})
}
