package operations

import (
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// Tracker measures the way of new commands through the system, with the parts
// that this process has.
type Tracker struct {
	// Log and Commands read the two topics.
	Log      *kafka.LogReader
	Commands *kafka.CommandReader
	// States is the state store of this process, nil for none.
	States *decider.StateStore
	// Store has the read models, nil for none.
	Store  readmodel.Store
	Models []*projection.Projection
	// Outcome looks up the place of a command's outcome in the store.
	Outcome    func(ctx context.Context, stream, commandID string) (eventlog.Position, error)
	Partitions int32
}

// Step is a step of a command's way.
type Step struct {
	// Step is accepted (by the gateway), commands (Kafka holds the command),
	// events (the processor has decided the command and sent the record), folded
	// (the state store of this process has the record), or visible (a read model
	// has the record).
	Step string `json:"step"`
	// ReadModel is the read model of a step visible.
	ReadModel string `json:"readModel,omitempty"`
	// Record is the type of the record of a step events, such as commandScheduled.
	Record string `json:"record,omitempty"`
	// Partition and Offset are the place in the topic.
	Partition *int32 `json:"partition,omitempty"`
	Offset    *int64 `json:"offset,omitempty"`
	// Time is when the step was done, "" if unknown so far, and Seconds the time
	// since the first step. Clocks of different machines differ.
	Time    string  `json:"time,omitempty"`
	Seconds float64 `json:"seconds"`
	// Unknown says why the time is unknown.
	Unknown string `json:"unknown,omitempty"`
}

// Track is the measurement of a command's way.
type Track struct {
	tracker    *Tracker
	stream, id string
	stop       context.CancelFunc
	over       sync.WaitGroup
	folded     chan outcomeAt
	watch      *decider.Watch

	mu    sync.Mutex
	moves map[string][]moveAt // the checkpoint of the stream's partition, by read model
	fails map[string]error
}

type outcomeAt struct {
	partition int32
	offset    int64
	at        time.Time
}

type moveAt struct {
	next int64
	at   time.Time
}

// Begin begins a measurement, before the command is sent. The caller must close
// the Track.
func (t *Tracker) Begin(ctx context.Context, stream, commandID string) *Track {
	ctx, stop := context.WithCancel(ctx)
	track := &Track{tracker: t, stream: stream, id: commandID, stop: stop, folded: make(chan outcomeAt, 1), moves: map[string][]moveAt{}, fails: map[string]error{}}
	if t.States != nil {
		track.watch = t.States.Watch(stream, commandID)
		track.over.Go(func() {
			select {
			case o := <-track.watch.C:
				track.folded <- outcomeAt{o.Partition, o.Offset, time.Now()}
			case <-ctx.Done():
			}
		})
	}
	if t.Store != nil {
		track.over.Go(func() { track.sample(ctx) })
	}
	return track
}

// Close ends a measurement.
func (t *Track) Close() {
	t.stop()
	if t.watch != nil {
		t.watch.Close()
	}
	t.over.Wait()
}

// sample notes the moves of the checkpoints, often at first.
func (t *Track) sample(ctx context.Context) {
	began := time.Now()
	for ctx.Err() == nil {
		for _, p := range t.tracker.Models {
			t.look(ctx, p)
		}
		pause := time.Millisecond
		if waited := time.Since(began); waited > 100*time.Millisecond {
			pause = min(waited/10, 100*time.Millisecond)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// look notes the checkpoint of a read model.
func (t *Track) look(ctx context.Context, p *projection.Projection) {
	partition := eventlog.PartitionOf(t.stream, t.tracker.Partitions)
	checkpoints, err := t.tracker.Store.Checkpoints(ctx, p)
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fails[p.Name] = err; err != nil {
		return
	}
	for _, c := range checkpoints {
		moves := t.moves[p.Name]
		if c.Partition == partition && (len(moves) == 0 || moves[len(moves)-1].next != c.Next) {
			t.moves[p.Name] = append(moves, moveAt{c.Next, now})
		}
	}
}

// Steps waits until the command has reached all read models, or the context
// ends, and returns the steps so far.
func (t *Track) Steps(ctx context.Context) []Step {
	place, ok := t.outcome(ctx)
	if !ok {
		return []Step{{Step: "events", Unknown: "no outcome yet"}}
	}
	steps := t.sent(ctx, place)
	if !place.at.IsZero() {
		steps = append(steps, stepAt("folded", place.at))
	}
	for _, p := range t.tracker.Models {
		step := t.visible(ctx, p, place.offset)
		step.ReadModel = p.Name
		steps = append(steps, step)
	}
	return measured(steps)
}

// outcome waits for the place of the command's outcome in the log.
func (t *Track) outcome(ctx context.Context) (at outcomeAt, ok bool) {
	for {
		select {
		case at = <-t.folded:
			return at, true
		case <-ctx.Done():
			return at, false
		case <-time.After(5 * time.Millisecond):
		}
		if t.tracker.States != nil || t.tracker.Store == nil {
			continue
		}
		position, err := t.tracker.Outcome(ctx, t.stream, t.id)
		if err != nil {
			continue // the context ends the wait
		}
		for partition, next := range position {
			return outcomeAt{partition: partition, offset: next - 1}, true
		}
	}
}

// sent are the steps in the two topics.
func (t *Track) sent(ctx context.Context, place outcomeAt) []Step {
	events := placed(Step{Step: "events"}, place.partition, place.offset)
	record, err := t.tracker.Log.StampedAt(ctx, place.partition, place.offset)
	if err != nil {
		events.Unknown = err.Error()
		return []Step{events}
	}
	events.Time, events.Record = eventlog.FormatTime(record.Appended), record.Type
	commands := placed(Step{Step: "commands"}, place.partition, record.CommandPosition.Offset)
	if sent, err := t.tracker.Commands.TimeOf(ctx, place.partition, record.CommandPosition.Offset); err != nil {
		commands.Unknown = err.Error()
	} else {
		commands.Time = eventlog.FormatTime(sent)
	}
	return []Step{stepAt("accepted", record.Time), commands, events}
}

// visible waits until a read model has the record at an offset.
func (t *Track) visible(ctx context.Context, p *projection.Projection, offset int64) Step {
	for {
		t.mu.Lock()
		moves, err := t.moves[p.Name], t.fails[p.Name]
		t.mu.Unlock()
		for _, m := range moves {
			if m.next > offset {
				return stepAt("visible", m.at)
			}
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			why := "not yet"
			if err != nil {
				why = err.Error()
			}
			return Step{Step: "visible", Unknown: why}
		}
	}
}

func stepAt(step string, at time.Time) Step {
	return Step{Step: step, Time: eventlog.FormatTime(at)}
}

func placed(s Step, partition int32, offset int64) Step {
	s.Partition, s.Offset = &partition, &offset
	return s
}

// measured sets the seconds since the first step.
func measured(steps []Step) []Step {
	var first time.Time
	for i := range steps {
		at, err := time.Parse(time.RFC3339Nano, steps[i].Time)
		if err != nil {
			continue // unknown
		}
		if first.IsZero() {
			first = at
		}
		steps[i].Seconds = max(0, at.Sub(first).Seconds())
	}
	return steps
}
