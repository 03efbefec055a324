package query_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// countingStore counts views, and holds back the first view.
type countingStore struct {
	readmodel.Store
	views atomic.Int32
	hold  chan struct{}
}

func (s *countingStore) ViewAhead(ctx context.Context, p *projection.Projection, ahead readmodel.Ahead, fn func(readmodel.View) error) error {
	if s.views.Add(1) == 1 {
		<-s.hold
	}
	return s.Store.ViewAhead(ctx, p, ahead, fn)
}

// finder serves GET /{id} of the read model names.
func finder(store readmodel.Store, p *projection.Projection) http.Handler {
	rd := &query.Reader{Store: store, Log: slog.New(slog.DiscardHandler)}
	router := web.NewRouter()
	rd.Get(router, "/{id}", func(w http.ResponseWriter, r *http.Request) error {
		id := r.URL.Path[1:]
		found, err := rd.Find(w, r, p, "names", projection.Row{id}, orders.Aggregate.Stream(id))
		if err == nil {
			web.WriteJSON(w, http.StatusOK, fmt.Sprint(found.Row, found.Parked, found.Generation))
		}
		return err
	})
	return router
}

func ask(h http.Handler, id string, headers ...string) *httptest.ResponseRecorder {
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/"+id, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	h.ServeHTTP(w, r)
	return w
}

// Requests at the same time share a view. Each request gets its own row, as of the
// Position in the answer.
func TestFindTogether(t *testing.T) {
	var log projectiontest.Log
	for i := range 40 {
		placed(&log, fmt.Sprint("u", i), fmt.Sprint("n", i))
	}
	renamed(&log, "u7", "broken")
	p := names()
	model := projectiontest.Open(t, p, orders.Aggregate)
	model.Fold(&log)
	token := eventlog.EncodePosition(log.Position())
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{Store: model.Store, hold: make(chan struct{})}
		router := finder(store, p)
		var asking sync.WaitGroup
		asking.Go(func() { ask(router, "u0") })
		synctest.Wait() // it holds the first view
		for i := range 42 {
			asking.Go(func() {
				id, want, status := fmt.Sprint("u", i), fmt.Sprintf("%q\n", fmt.Sprintf("[u%d n%d 1] false 1", i, i)), 200
				var headers []string
				switch {
				case i >= 40:
					want = "\"[] false 1\"\n"
				case i == 7:
					want = "\"[u7 n7 1] true 1\"\n"
				case i == 8: // another sort of wait, in the same view
					headers = []string{"Read-After", token}
				case i == 9:
					headers, status = []string{"Read-After", eventlog.EncodePosition(eventlog.Position{3: 1})}, 503
				}
				w := ask(router, id, headers...)
				if w.Code != status || status == 200 && (w.Body.String() != want || w.Header().Get("Position") != token) {
					t.Errorf("%s: got %d %s at %s, want %d %s", id, w.Code, w.Body, w.Header().Get("Position"), status, want)
				}
			})
		}
		synctest.Wait()
		close(store.hold)
		asking.Wait()
		if got := store.views.Load(); got > 4 {
			t.Errorf("%d views", got)
		}
		if w := ask(router, "u7", "Read-After", token); w.Code != 503 {
			t.Errorf("a parked stream under Read-After: %d %s", w.Code, w.Body)
		}
		time.Sleep(time.Second) // until nobody polls any more
	})
}

// The row and the Position of an answer are of the same view, while batches come in.
func TestFoundRowsAndPositionAgree(t *testing.T) {
	const events = 2000
	var log projectiontest.Log
	placed(&log, "u", "n")
	for range events - 1 {
		renamed(&log, "u", "n")
	}
	partition := eventlog.PartitionOf(orders.Aggregate.Stream("u"), int32(len(log.Position())))
	p := names()
	model := projectiontest.Open(t, p, orders.Aggregate)
	model.Fold(new(projectiontest.Log)) // the tables
	router := finder(model.Store, p)
	var done atomic.Bool
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for !done.Load() {
				answer := ask(router, "u")
				position, err := eventlog.ParsePosition(answer.Header().Get("Position"))
				want := fmt.Sprintf("\"[u n %d] false 1\"\n", position[partition])
				if position[partition] == 0 {
					want = "\"[] false 1\"\n"
				}
				if err != nil || answer.Body.String() != want {
					t.Errorf("got %s at %v, %v", answer.Body, position, err)
					return
				}
			}
		})
	}
	model.Fold(&log)
	done.Store(true)
	asking.Wait()
}
