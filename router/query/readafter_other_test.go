package query

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// The read model keeps no head of a stream of another aggregate. So the position
// of the command's outcome is looked up, at once and then again and again, and the
// reader waits for the position.
func TestReadAfterACommandOfAnotherAggregate(t *testing.T) {
	token := eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: "parcel/1", ID: "c", CommandPlace: eventlog.CommandPlace{
		CommandPosition: eventlog.CommandPosition{TopicID: "topic", Offset: 5},
	}})
	ofOrders := &projection.Projection{Name: "of", Of: []string{"order"}}
	known := func(from time.Duration, at eventlog.Position) func(context.Context, string, string) (eventlog.Position, error) {
		began := time.Now()
		return func(_ context.Context, stream, commandID string) (eventlog.Position, error) {
			if stream != "parcel/1" || commandID != "c" || time.Since(began) < from {
				return nil, nil
			}
			return at, nil
		}
	}
	for name, test := range map[string]struct {
		knownFrom time.Duration // when the outcome is known, if ever
		position  int64         // of the outcome
		then      int64         // where the read model is after two seconds
		status    int
		took      time.Duration
	}{
		"known, and folded":       {0, 7, 7, 200, 0},
		"known, and folded later": {0, 9, 9, 200, 2 * time.Second},
		"known later":             {time.Second, 7, 7, 200, time.Second},
		"known, and not folded":   {0, 9, 8, 503, patience},
		"never known":             {time.Hour, 7, 7, 503, patience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &movingStore{at: map[int32]int64{0: 7}}
				rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(readmodel.Waits)}
				rd.Outcome = known(test.knownFrom, eventlog.Position{0: test.position})
				time.AfterFunc(2*time.Second, func() { store.move(0, test.then) })
				w, took := readModelAfter(rd, ofOrders, token)
				if w.Code != test.status {
					t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
				}
				if took < test.took || took > test.took+outcomeLast+lastPoll {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				time.Sleep(3 * time.Second) // until nobody polls any more
			})
		})
	}
	t.Run("the outcome can't be asked for", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rd := &Reader{Store: &movingStore{at: map[int32]int64{0: 7}}, ReadAfterTimeout: patience}
			if w, took := readModelAfter(rd, ofOrders, token); w.Code != http.StatusServiceUnavailable || took < patience {
				t.Errorf("status %d after %s", w.Code, took)
			}
		})
	})
	t.Run("the service stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			stop := make(chan struct{})
			rd := &Reader{Store: &movingStore{at: map[int32]int64{0: 7}}, ReadAfterTimeout: patience, Stopping: stop}
			time.AfterFunc(time.Second, func() { close(stop) })
			if w, took := readModelAfter(rd, ofOrders, token); w.Code != http.StatusServiceUnavailable || took != time.Second {
				t.Errorf("status %d after %s", w.Code, took)
			}
		})
	})
	t.Run("a position token", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			store := &movingStore{at: map[int32]int64{0: 7}}
			rd := &Reader{Store: store, ReadAfterTimeout: patience}
			time.AfterFunc(time.Second, func() { store.move(0, 8) })
			if w, took := readModelAfter(rd, ofOrders, at(8)); w.Code != 200 || took < time.Second || took > time.Second+lastPoll {
				t.Errorf("status %d after %s", w.Code, took)
			}
			time.Sleep(2 * lastPoll)
		})
	})
}
