package query

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// readAfter asks a reader, and returns the answer and the duration.
func readAfter(rd *Reader, tokens ...string) (answer *httptest.ResponseRecorder, took time.Duration) {
	return readModelAfter(rd, anyModel, tokens...)
}

func readModelAfter(rd *Reader, p *projection.Projection, tokens ...string) (answer *httptest.ResponseRecorder, took time.Duration) {
	start := time.Now()
	rd.Log = slog.New(slog.DiscardHandler)
	router := web.NewRouter()
	rd.Get(router, "/", func(w http.ResponseWriter, r *http.Request) error {
		err := rd.Read(w, r, p, func(ctx context.Context, view readmodel.View) error {
			_, err := view.Head(ctx, "1")
			return err
		})
		if err == nil {
			web.WriteJSON(w, http.StatusOK, "read")
		}
		return err
	})
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	for _, token := range tokens {
		r.Header.Add("Read-After", token)
	}
	answer = httptest.NewRecorder()
	router.ServeHTTP(answer, r)
	return answer, time.Since(start)
}

const patience = 5 * time.Second

// lastPoll is longer than a poller of a read model waits.
const lastPoll = 64 * time.Millisecond

func at(next int64) string { return eventlog.EncodePosition(eventlog.Position{0: next}) }

func TestReadAfter(t *testing.T) {
	for name, test := range map[string]struct {
		tokens []string
		// called after a second
		then   func(*movingStore, *Reader, chan<- struct{})
		parked string
		status int
		took   time.Duration // at least, and at most a poll more
	}{
		"none":                        {nil, nil, "", 200, 0},
		"none, of a parked stream":    {nil, nil, "broken", 200, 0},
		"there already":               {[]string{at(7)}, nil, "", 200, 0},
		"the beginning":               {[]string{at(0)}, nil, "", 200, 0},
		"there already, and parked":   {[]string{at(7)}, nil, "broken", 503, 0},
		"malformed":                   {[]string{"nonsense"}, nil, "", 400, 0},
		"empty":                       {[]string{""}, nil, "", 400, 0},
		"twice":                       {[]string{at(1), at(1)}, nil, "", 400, 0},
		"never":                       {[]string{at(8)}, nil, "", 503, patience},
		"a partition that isn't":      {[]string{eventlog.EncodePosition(eventlog.Position{9: 1})}, nil, "", 503, patience},
		"folded in another process":   {[]string{at(8)}, func(s *movingStore, _ *Reader, _ chan<- struct{}) { s.move(0, 8) }, "", 200, time.Second},
		"not far enough":              {[]string{at(9)}, func(s *movingStore, _ *Reader, _ chan<- struct{}) { s.move(0, 8) }, "", 503, patience},
		"the service stops":           {[]string{at(8)}, func(_ *movingStore, _ *Reader, stop chan<- struct{}) { close(stop) }, "", 503, time.Second},
		"two partitions, one of them": {[]string{eventlog.EncodePosition(eventlog.Position{0: 8, 1: 1})}, func(s *movingStore, _ *Reader, _ chan<- struct{}) { s.move(0, 8) }, "", 503, patience},
		"two partitions": {[]string{eventlog.EncodePosition(eventlog.Position{0: 8, 1: 1})}, func(s *movingStore, _ *Reader, _ chan<- struct{}) {
			s.move(0, 8)
			s.move(1, 1)
		}, "", 200, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store, stop := &movingStore{at: map[int32]int64{0: 7}, parked: test.parked}, make(chan struct{})
				var told []bool
				rd := &Reader{Store: store, ReadAfterTimeout: patience, Stopping: stop}
				rd.Waited = func(took time.Duration, tooLate bool) {
					told = append(told, tooLate)
					if took < test.took {
						t.Errorf("told that it took %s", took)
					}
				}
				if test.then != nil {
					time.AfterFunc(time.Second, func() { test.then(store, rd, stop) })
				}
				w, took := readAfter(rd, test.tokens...)
				if w.Code != test.status {
					t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
				}
				if took < test.took || took > test.took+lastPoll {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				if waited := test.took > 0; waited && !slices.Equal(told, []bool{test.status == 503}) || !waited && told != nil {
					t.Errorf("told of waits: too late %t", told)
				}
				if got := w.Header().Get("Retry-After"); (got != "") != (test.status == 503) {
					t.Errorf("Retry-After %q", got)
				}
				time.Sleep(2 * lastPoll) // synctest finds a poller that goes on
			})
		})
	}
}

func TestReadAfterIsWokenByTheEnginesOfThisProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &movingStore{at: map[int32]int64{0: 7}}
		rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(readmodel.Waits)}
		time.AfterFunc(time.Second+time.Nanosecond, func() { // no poll comes then
			store.move(0, 8)
			rd.Waits.Moved(store, anyModel, readmodel.Checkpoint{Partition: 0, Next: 8})
		})
		if w, took := readAfter(rd, at(8)); w.Code != 200 || took != time.Second+time.Nanosecond {
			t.Errorf("status %d after %s", w.Code, took)
		}
		time.Sleep(2 * lastPoll)
	})
}

// After a rollback the live tables may be behind an earlier answer.
func TestReadAfterBelievesTheViewOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &movingStore{at: map[int32]int64{0: 7}}
		rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(readmodel.Waits)}
		rd.Waits.Moved(store, anyModel, readmodel.Checkpoint{Partition: 0, Next: 9})
		time.AfterFunc(time.Second, func() { store.move(0, 8) })
		if w, took := readAfter(rd, at(8)); w.Code != 200 || took < time.Second {
			t.Errorf("status %d after %s", w.Code, took)
		}
		time.Sleep(2 * lastPoll)
	})
}

func TestManyWaitersShareOnePoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const many = 2000
		store := &movingStore{at: map[int32]int64{0: 0}}
		rd := &Reader{Store: store, ReadAfterTimeout: patience}
		var answered atomic.Int32
		var waiting sync.WaitGroup
		for i := range many {
			waiting.Go(func() {
				if w, _ := readAfter(&Reader{Store: store, ReadAfterTimeout: patience, Waits: rd.waits()}, at(int64(i+1))); w.Code == 200 {
					answered.Add(1)
				}
			})
		}
		synctest.Wait()
		store.looks.Store(0)
		time.Sleep(time.Second)
		if looks := store.looks.Load(); looks > 100 {
			t.Errorf("%d looks at the store in a second", looks)
		}
		store.move(0, many/2)
		time.Sleep(lastPoll)
		synctest.Wait()
		if got := answered.Load(); got != many/2 {
			t.Errorf("%d answered, want those %d that ask for no more", got, many/2)
		}
		store.move(0, many)
		waiting.Wait()
		if got := answered.Load(); got != many {
			t.Errorf("%d answered of %d", got, many)
		}
		time.Sleep(2 * lastPoll)
	})
}

func TestReadAfterACommand(t *testing.T) {
	token := eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: "u", ID: "c", CommandPlace: eventlog.CommandPlace{
		CommandPosition: eventlog.CommandPosition{TopicID: "topic", Offset: 5},
	}})
	for name, test := range map[string]struct {
		before, then func(*movingStore, *Reader) // at once, and after a second
		status       int
		took         time.Duration
	}{
		"decided":          {func(s *movingStore, _ *Reader) { s.decide("topic", 5) }, nil, 200, 0},
		"a later one is":   {func(s *movingStore, _ *Reader) { s.decide("topic", 6) }, nil, 200, 0},
		"an earlier one":   {func(s *movingStore, _ *Reader) { s.decide("topic", 4) }, nil, 503, patience},
		"of another topic": {func(s *movingStore, _ *Reader) { s.decide("other", 6) }, nil, 503, patience},
		"never":            {nil, nil, 503, patience},
		"parked":           {func(s *movingStore, _ *Reader) { s.parked = "broken" }, nil, 503, 0},
		"parked later": {nil, func(s *movingStore, _ *Reader) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.parked = "broken"
		}, 503, time.Second},
		"decided elsewhere": {nil, func(s *movingStore, _ *Reader) { s.decide("topic", 5) }, 200, time.Second},
		"decided here": {nil, func(s *movingStore, rd *Reader) {
			s.decide("topic", 5)
			rd.Waits.Moved(s, anyModel, readmodel.Checkpoint{Next: 8})
		}, 200, time.Second},
		"it repeats another": {func(_ *movingStore, rd *Reader) {
			rd.Outcome = func(_ context.Context, stream, commandID string) (eventlog.Position, error) {
				if stream != "u" || commandID != "c" {
					return nil, nil
				}
				return eventlog.Position{0: 8}, nil
			}
		}, func(s *movingStore, _ *Reader) { s.move(0, 8) }, 200, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &movingStore{at: map[int32]int64{0: 7}}
				rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(readmodel.Waits)}
				if test.before != nil {
					test.before(store, rd)
				}
				if test.then != nil {
					time.AfterFunc(time.Second, func() { test.then(store, rd) })
				}
				w, took := readAfter(rd, token)
				if w.Code != test.status {
					t.Errorf("status %d, want %d: %s", w.Code, test.status, w.Body)
				}
				if took < test.took || took > test.took+lastPoll {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				time.Sleep(2 * lastPoll)
			})
		})
	}
}

// Waiting for a partition that doesn't exist is in vain.
func TestReadAfterPartitionsThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rd := &Reader{Store: &movingStore{at: map[int32]int64{0: 7}}, ReadAfterTimeout: patience}
		for partition := range int32(10) {
			for _, token := range []string{
				eventlog.EncodePosition(eventlog.Position{100 + partition: 1}),
				eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: "1", ID: "c", CommandPlace: eventlog.CommandPlace{
					Partition: 200 + partition, CommandPosition: eventlog.CommandPosition{TopicID: "t"},
				}}),
			} {
				if w, _ := readAfter(rd, token); w.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d", w.Code)
				}
			}
		}
		time.Sleep(2 * lastPoll)
	})
}
