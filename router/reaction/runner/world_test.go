package runner

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// world is everything around the runners of several processes: one partition of
// topic events, the reaction's own stream, and target streams that have a fence.
// The goroutines are in a bubble, so the delays cost nothing.
type world struct {
	t    *testing.T
	luck *luck

	mu      sync.Mutex
	causes  []cause
	grown   chan struct{}
	version uint64
	state   checkpoint.State
	// elsewhere is the reaction's place in the other partition.
	elsewhere checkpoint.State
	outcomes  map[string]decider.Outcome
	decided   chan struct{}
	told      map[*teller]bool
	targets   map[string]*target
	failing   map[string]bool // cause streams that the reaction fails at
	faulty    bool            // sends may fail, and land late or never
	asked     int
	sent      int
}

// cause is a record of topic events.
type cause struct {
	stream  string
	targets []string
	copied  bool // doesn't count
	depth   int
}

type luck struct {
	mu sync.Mutex
	*rand.Rand
}

func (l *luck) n(most int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.IntN(most)
}

func newWorld(t *testing.T, seed uint64) *world {
	return &world{
		t: t, luck: &luck{Rand: rand.New(rand.NewPCG(seed, 1))}, grown: make(chan struct{}), decided: make(chan struct{}),
		outcomes: map[string]decider.Outcome{}, told: map[*teller]bool{}, targets: map[string]*target{}, failing: map[string]bool{},
	}
}

// moment pauses for up to 20 ms.
func (w *world) moment() { time.Sleep(time.Duration(w.luck.n(20_000)) * time.Microsecond) }

func (w *world) add(c cause) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.causes = append(w.causes, c)
	close(w.grown)
	w.grown = make(chan struct{})
}

// End implements [decider.Log].
func (w *world) End(context.Context, int32) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.causes)), nil
}

func (w *world) record(offset int64) eventlog.Record {
	c := w.causes[offset]
	r := eventlog.Record{Offset: offset, Stream: c.stream, Type: "happened"}
	if c.depth > 0 {
		r.Origin = &eventlog.Origin{Reaction: "r", Cause: eventlog.Cause{TopicID: "t", Offset: max(offset-1, 0), N: 1}, Subject: "a/1", Depth: c.depth}
	}
	return r
}

// At implements [decider.Log].
func (w *world) At(_ context.Context, _ int32, offset int64) (eventlog.Record, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.record(offset), nil
}

// Follow is the log's.
func (l log) Follow(ctx context.Context, _ int32, from int64, fn func([]eventlog.Record) error) error {
	w := l.world
	for ctx.Err() == nil {
		w.moment()
		var records []eventlog.Record
		w.mu.Lock()
		grown := w.grown
		for to := min(from+1+int64(w.luck.n(4)), int64(len(w.causes))); from < to; from++ {
			records = append(records, w.record(from))
		}
		w.mu.Unlock()
		if len(records) > 0 {
			if err := fn(records); err != nil {
				return err
			}
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

type log struct{ *world }

// CatchUp implements [States].
func (w *world) CatchUp(context.Context, int32) error { return nil }

// FoldedTo implements [States].
func (w *world) FoldedTo(int32) int64 { return int64(len(w.causes)) }

// Counting implements [States].
func (w *world) Counting(_ context.Context, records []eventlog.Record) ([]eventlog.Record, error) {
	w.moment()
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(records), func(r eventlog.Record) bool { return w.causes[r.Offset].copied }), nil
}

// teller tells a process of the reaction's own stream, after a while.
type teller struct {
	states chan decider.StreamState
}

// Follow implements [States].
func (w *world) Follow(stream string, tell func(decider.StreamState)) (stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if stream != "reaction/r/0" {
		tell(decider.StreamState{State: w.elsewhere})
		return func() {}
	}
	tell(decider.StreamState{Version: w.version, State: w.state})
	one := &teller{make(chan decider.StreamState, 1000)}
	w.told[one] = true
	go func() {
		for s := range one.states {
			w.moment()
			tell(s)
		}
	}()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.told, one)
		close(one.states)
	}
}

// Await implements [States].
func (w *world) Await(ctx context.Context, _, id string) (decider.Outcome, error) {
	for {
		w.mu.Lock()
		o, ok := w.outcomes[id]
		decided := w.decided
		w.mu.Unlock()
		if ok {
			w.moment()
			return o, nil
		}
		select {
		case <-decided:
		case <-ctx.Done():
			return o, ctx.Err()
		}
	}
}

// send is the producer: a send may fail, and the command lands at once, later,
// or never.
func (w *world) send(e *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
	copied := *e
	go func() {
		w.moment()
		w.mu.Lock()
		w.sent++
		faulty := w.faulty && w.luck.n(5) == 0
		w.mu.Unlock()
		if !faulty {
			w.land(&copied)
			w.moment()
			sent(eventlog.CommandPlace{}, nil)
			return
		}
		switch w.luck.n(3) {
		case 0:
			w.land(&copied)
		case 1:
			go func() {
				time.Sleep(time.Duration(w.luck.n(3000)) * time.Millisecond)
				w.land(&copied)
			}()
		}
		sent(eventlog.CommandPlace{}, errors.New("the broker is away"))
	}()
}

// land decides a command.
func (w *world) land(e *eventlog.Envelope) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Origin == nil {
		w.landNote(e)
		return
	}
	t := w.targets[e.Stream]
	if t == nil {
		t = new(target)
		w.targets[e.Stream] = t
	}
	t.land(e)
}

func (w *world) landNote(e *eventlog.Envelope) {
	o := decider.Outcome{CommandID: e.ID, Kind: decider.Refused}
	if e.ExpectedVersion == nil || *e.ExpectedVersion == w.version {
		var command aggregate.AnyCommand
		for _, create := range checkpoint.Aggregate.Commands() {
			if command = create(); command.Type() == e.Type {
				break
			}
		}
		if err := json.Unmarshal(e.Body, command); err != nil {
			w.t.Error(err)
		}
		event, err := checkpoint.Aggregate.Decide(w.state, command)
		if err == nil {
			o.Kind = decider.Succeeded
		}
		if event != nil {
			w.version++
			w.state = checkpoint.Aggregate.Apply(w.state, event).(checkpoint.State) //nolint:errcheck // it is one
			for one := range w.told {
				one.states <- decider.StreamState{Version: w.version, State: w.state}
			}
		}
	}
	w.outcomes[e.ID] = o
	close(w.decided)
	w.decided = make(chan struct{})
}

// operate sends an operator's command, and waits for the decision.
func (w *world) operate(c aggregate.AnyCommand) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.landNote(&eventlog.Envelope{ID: fmt.Sprint("operator ", w.version), Type: c.Type(), Body: decider.EncodeBody(c)})
}

// react answers a cause with a command to each of its targets.
func (w *world) react(r *eventlog.Record) (envelopes []eventlog.Envelope, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	if w.failing[r.Stream] {
		return nil, errors.New("the reaction fails")
	}
	for _, to := range w.causes[r.Offset].targets {
		envelopes = append(envelopes, eventlog.Envelope{Stream: to, Type: "do", Body: []byte("{}")})
	}
	return envelopes, nil
}

// process is a command service.
type process struct {
	world      *world
	runner     *Runner
	assignment *kafka.Assignment
	kill       context.CancelFunc
	dead       atomic.Bool
}

// begin starts a process: the group assigns the partition.
func (w *world) begin(fromBeginning bool) *process {
	ctx, kill := context.WithCancel(context.Background())
	p := &process{world: w, kill: kill, assignment: kafka.NewAssignment(ctx, 0, func(int64) {}), runner: &Runner{
		Reactions: []Reaction{{Name: "r", FromBeginning: fromBeginning, React: w.react}},
		States:    w, Log: log{w}, TopicID: "t", Partitions: 2, Now: time.Now, Logger: slog.New(slog.DiscardHandler), most: 1 + w.luck.n(6),
	}}
	p.runner.Send = func(e *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
		if !p.dead.Load() {
			w.send(e, sent)
		}
	}
	if _, err := p.runner.Setup(p.assignment); err != nil {
		w.t.Error(err)
	}
	return p
}

// end is a clean hand-over.
func (p *process) end() {
	p.kill()
	p.runner.Cleanup(p.assignment)
}

// crash ends a process without a last note. Sends that are under way may land.
func (p *process) crash() {
	p.dead.Store(true)
	p.end()
}

// awaitQuiet waits until nothing is left to do.
func (w *world) awaitQuiet() {
	var before string
	for quiet := 0; quiet < 3; {
		time.Sleep(70 * time.Second)
		w.mu.Lock()
		now := fmt.Sprint(w.sent, w.version)
		w.mu.Unlock()
		if quiet++; now != before {
			quiet, before = 0, now
		}
	}
}

// check compares the effects with the causes from an offset on, but without the
// skipped.
func (w *world) check(from int64, skipped func(offset int64) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := map[string][]string{}
	for offset := from; offset < int64(len(w.causes)); offset++ {
		c := &w.causes[offset]
		if c.copied || skipped != nil && skipped(offset) {
			continue
		}
		for n, to := range c.targets {
			want[to] = append(want[to], effect(c.stream, offset, n+1))
		}
	}
	for name, t := range w.targets {
		var got []string
		last := map[string]eventlog.Cause{}
		for _, e := range t.effects {
			o := e.Origin
			got = append(got, effect(o.Subject, o.Cause.Offset, o.Cause.N))
			if o.Cause.Compare(last[o.Subject]) <= 0 {
				w.t.Errorf("%s: the commands of %s take effect out of order: %s after %s", name, o.Subject, o.Cause, last[o.Subject])
			}
			last[o.Subject] = o.Cause
		}
		slices.SortFunc(got, cmp.Compare)
		slices.Sort(want[name])
		if !slices.Equal(got, want[name]) {
			w.t.Errorf("%s has the effects\n\t%v\nwant\n\t%v", name, got, want[name])
		}
		delete(want, name)
	}
	for name := range want {
		w.t.Errorf("%s has no effects, want %v", name, want[name])
	}
}

func effect(stream string, offset int64, n int) string {
	return fmt.Sprintf("%03d/%d of %s", offset, n, stream)
}
