package projections

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

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
)

// movingStore is a store of checkpoints that move.
type movingStore struct {
	Store
	mu     sync.Mutex
	at     map[int32]int64
	parked string       // why every stream is
	head   StreamHead   // of every stream
	looks  atomic.Int32 // at the store
}

func (s *movingStore) move(partition int32, next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[partition] = next
}

func (s *movingStore) View(_ context.Context, _ *Projection, fn func(View) error) error {
	s.looks.Add(1)
	s.mu.Lock()
	view := movingView{head: s.head}
	view.head.Parked = s.parked
	for partition, next := range s.at {
		view.checkpoints = append(view.checkpoints, Checkpoint{Partition: partition, Next: next})
	}
	s.mu.Unlock()
	return fn(view)
}

func (s *movingStore) Checkpoints(ctx context.Context, p *Projection) (all []Checkpoint, err error) {
	err = s.View(ctx, p, func(v View) error {
		all, err = v.Checkpoints(ctx)
		return err
	})
	return all, err
}

type movingView struct {
	View
	checkpoints []Checkpoint
	head        StreamHead
}

func (v movingView) Checkpoints(context.Context) ([]Checkpoint, error) { return v.checkpoints, nil }

func (v movingView) Head(context.Context, string) (StreamHead, error) {
	return v.head, nil
}

func (v movingView) Heads(_ context.Context, streams []string) (map[string]StreamHead, error) {
	heads := map[string]StreamHead{}
	for _, stream := range streams {
		heads[stream] = v.head
	}
	return heads, nil
}

var anyModel = &Projection{Name: "any"}

// readAfter asks a reader, and returns what it answers and after how long.
func readAfter(rd *Reader, tokens ...string) (answer *httptest.ResponseRecorder, took time.Duration) {
	return readModelAfter(rd, anyModel, tokens...)
}

func readModelAfter(rd *Reader, p *Projection, tokens ...string) (answer *httptest.ResponseRecorder, took time.Duration) {
	start := time.Now()
	rd.Log = slog.New(slog.DiscardHandler)
	router := web.NewRouter()
	rd.Get(router, "/", func(w http.ResponseWriter, r *http.Request) error {
		err := rd.Read(w, r, p, func(ctx context.Context, view View) error {
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

func at(next int64) string { return messaging.EncodePosition(messaging.Position{0: next}) }

func TestReadAfter(t *testing.T) {
	for name, test := range map[string]struct {
		tokens []string
		// what happens after a second
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
		"a partition that isn't":      {[]string{messaging.EncodePosition(messaging.Position{9: 1})}, nil, "", 503, patience},
		"folded in another process":   {[]string{at(8)}, func(s *movingStore, _ *Reader, _ chan<- struct{}) { s.move(0, 8) }, "", 200, time.Second},
		"not far enough":              {[]string{at(9)}, func(s *movingStore, _ *Reader, _ chan<- struct{}) { s.move(0, 8) }, "", 503, patience},
		"the service stops":           {[]string{at(8)}, func(_ *movingStore, _ *Reader, stop chan<- struct{}) { close(stop) }, "", 503, time.Second},
		"two partitions, one of them": {[]string{messaging.EncodePosition(messaging.Position{0: 8, 1: 1})}, func(s *movingStore, _ *Reader, _ chan<- struct{}) { s.move(0, 8) }, "", 503, patience},
		"two partitions": {[]string{messaging.EncodePosition(messaging.Position{0: 8, 1: 1})}, func(s *movingStore, _ *Reader, _ chan<- struct{}) {
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
				if took < test.took || took > test.took+pollLast {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				if waited := test.took > 0; waited && !slices.Equal(told, []bool{test.status == 503}) || !waited && told != nil {
					t.Errorf("told of waits: too late %t", told)
				}
				if got := w.Header().Get("Retry-After"); (got != "") != (test.status == 503) {
					t.Errorf("Retry-After %q", got)
				}
				time.Sleep(2 * pollLast) // synctest finds a poller that goes on
			})
		})
	}
}

func TestReadAfterIsWokenByTheEnginesOfThisProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &movingStore{at: map[int32]int64{0: 7}}
		rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(Waits)}
		time.AfterFunc(time.Second+time.Nanosecond, func() { // no poll comes then
			store.move(0, 8)
			rd.Waits.moved(store, anyModel, Checkpoint{Partition: 0, Next: 8})
		})
		if w, took := readAfter(rd, at(8)); w.Code != 200 || took != time.Second+time.Nanosecond {
			t.Errorf("status %d after %s", w.Code, took)
		}
		time.Sleep(2 * pollLast)
	})
}

// After a rollback the live tables may be behind what was seen before.
func TestReadAfterBelievesTheViewOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &movingStore{at: map[int32]int64{0: 7}}
		rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(Waits)}
		rd.Waits.moved(store, anyModel, Checkpoint{Partition: 0, Next: 9})
		time.AfterFunc(time.Second, func() { store.move(0, 8) })
		if w, took := readAfter(rd, at(8)); w.Code != 200 || took < time.Second {
			t.Errorf("status %d after %s", w.Code, took)
		}
		time.Sleep(2 * pollLast)
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
		time.Sleep(pollLast)
		synctest.Wait()
		if got := answered.Load(); got != many/2 {
			t.Errorf("%d answered, want those %d that ask for no more", got, many/2)
		}
		store.move(0, many)
		waiting.Wait()
		if got := answered.Load(); got != many {
			t.Errorf("%d answered of %d", got, many)
		}
		time.Sleep(2 * pollLast)
	})
}

// decide is what a fold does that decides a command.
func (s *movingStore) decide(topicID string, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[0]++
	s.head.Decided = messaging.CommandPosition{TopicID: topicID, Offset: offset}
}

func TestReadAfterACommand(t *testing.T) {
	token := messaging.EncodeSentCommand(messaging.SentCommand{Stream: "u", ID: "c", CommandPlace: messaging.CommandPlace{
		CommandPosition: messaging.CommandPosition{TopicID: "topic", Offset: 5},
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
			rd.Waits.moved(s, anyModel, Checkpoint{Next: 8})
		}, 200, time.Second},
		"it repeats another": {func(_ *movingStore, rd *Reader) {
			rd.Outcome = func(_ context.Context, stream, commandID string) (messaging.Position, error) {
				if stream != "u" || commandID != "c" {
					return nil, nil
				}
				return messaging.Position{0: 8}, nil
			}
		}, func(s *movingStore, _ *Reader) { s.move(0, 8) }, 200, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := &movingStore{at: map[int32]int64{0: 7}}
				rd := &Reader{Store: store, ReadAfterTimeout: patience, Waits: new(Waits)}
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
				if took < test.took || took > test.took+pollLast {
					t.Errorf("it took %s, want %s", took, test.took)
				}
				time.Sleep(2 * pollLast)
			})
		})
	}
}

// Partitions that don't exist are not remembered, whoever names them.
func TestReadAfterPartitionsThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rd := &Reader{Store: &movingStore{at: map[int32]int64{0: 7}}, ReadAfterTimeout: patience}
		for partition := range int32(10) {
			for _, token := range []string{
				messaging.EncodePosition(messaging.Position{100 + partition: 1}),
				messaging.EncodeSentCommand(messaging.SentCommand{Stream: "1", ID: "c", CommandPlace: messaging.CommandPlace{
					Partition: 200 + partition, CommandPosition: messaging.CommandPosition{TopicID: "t"},
				}}),
			} {
				if w, _ := readAfter(rd, token); w.Code != http.StatusServiceUnavailable {
					t.Errorf("status %d", w.Code)
				}
			}
		}
		time.Sleep(2 * pollLast)
		m := rd.waits().of(rd.Store, anyModel)
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.partitions) != 1 {
			t.Errorf("%d partitions are remembered, and there is one", len(m.partitions))
		}
	})
}
