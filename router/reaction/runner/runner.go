package runner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// States is the state store.
type States interface {
	// CatchUp returns once the state store has folded a partition up to the
	// partition's end at the time of the call.
	CatchUp(ctx context.Context, partition int32) error
	// Counting returns the records that count, of records of one partition.
	Counting(ctx context.Context, records []eventlog.Record) ([]eventlog.Record, error)
	// Follow tells of a stream's state, at once and after each event.
	Follow(stream string, tell func(decider.StreamState)) (stop func())
	// Await waits for the outcome of a command.
	Await(ctx context.Context, stream, commandID string) (decider.Outcome, error)
	// FoldedTo is the offset of a partition's first record that is not folded.
	FoldedTo(partition int32) int64
}

// Runner runs reactions in the partitions that a consumer group gives to this
// process.
type Runner struct {
	Reactions []Reaction
	States    States
	Log       decider.Log
	// Send sends a command, and calls sent once with the result. A command that
	// failed may come late.
	Send func(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error))
	// TopicID is the id of topic events, and Partitions the number of its
	// partitions.
	TopicID    string
	Partitions int32
	Now        func() time.Time
	Logger     *slog.Logger

	most int // instead of maxJobs, in a test

	mu    sync.Mutex
	runs  map[int32][]*assigned
	looks map[string]*look // by reaction
	begun chan struct{}    // closed at the end of Begin
}

// assigned is a run with its goroutines.
type assigned struct {
	*run
	unfollow func()
	stop     context.CancelFunc // ends all
	done     sync.WaitGroup
}

// handOver bounds the wait for commands under way when a partition goes.
const handOver = 3 * time.Second

// Setup implements [kafka.AssignmentHandler]. Each reaction begins where its own
// stream says.
func (r *Runner) Setup(assignment *kafka.Assignment) (int64, error) {
	var runs []*assigned
	for _, reaction := range r.Reactions {
		one := newRun(r, reaction, assignment.Partition)
		if err := r.States.CatchUp(assignment.Context, eventlog.PartitionOf(one.stream, r.Partitions)); err != nil {
			return 0, err
		}
		runs = append(runs, &assigned{run: one})
	}
	for _, a := range runs {
		a.begin(assignment.Context)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.runs == nil {
		r.runs = map[int32][]*assigned{}
	}
	r.runs[assignment.Partition] = runs
	return kafka.Committed, nil
}

// begin starts the goroutines of a run.
func (a *assigned) begin(session context.Context) {
	var all context.Context
	all, a.stop = context.WithCancel(context.WithoutCancel(session)) // outlives the session, for the last note
	a.reading, a.stopRead = context.WithCancel(session)
	a.unfollow = a.States.Follow(a.stream, a.tell)
	a.absorb()
	a.done.Go(func() { a.absorbAll(all) })
	a.done.Go(func() { a.sendReady(all) })
	a.flows.Go(a.answers)
}

const cantGoOn = "a reaction can't go on"

// answers runs the reaction until the flows end.
func (a *assigned) answers() {
	err := a.checkTopic(a.reading)
	if err == nil && !a.reaction.FromBeginning {
		a.awaitBegin(a.reading)
		err = a.start(a.reading)
	}
	a.mu.Lock()
	broken := a.broken != nil
	if broken {
		err = a.broken
	}
	a.mu.Unlock()
	if err != nil {
		if broken || a.reading.Err() == nil && !errors.Is(err, errSaid) {
			a.Logger.Error(cantGoOn, "reaction", a.reaction.Name, "partition", a.partition, "error", err)
		}
		return
	}
	a.flows.Go(func() { a.noteProgress(a.reading) })
	a.mainFlow(a.reading)
}

// Cleanup implements [kafka.AssignmentHandler]: the reactions answer no more,
// wait for their commands under way, and note how far they are, so that the
// next owner answers nothing again.
func (r *Runner) Cleanup(assignment *kafka.Assignment) {
	r.mu.Lock()
	runs := r.runs[assignment.Partition]
	delete(r.runs, assignment.Partition)
	r.mu.Unlock()
	var ending sync.WaitGroup
	for _, a := range runs {
		ending.Go(a.end)
	}
	ending.Wait()
}

func (a *assigned) end() {
	a.mu.Lock()
	a.ending = true
	a.mu.Unlock()
	a.stopRead()
	a.flows.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), handOver)
	defer cancel()
	err := a.await(ctx, func() bool { return a.window.size == 0 })
	if err == nil {
		err = a.note(ctx, func() aggregate.AnyCommand { return a.worth(false) })
	}
	if err != nil && !errors.Is(err, errNothing) {
		a.Logger.Debug("no last note of a reaction; the next owner answers the last causes again", "reaction", a.reaction.Name, "partition", a.partition, "error", err)
	}
	a.stop()
	a.done.Wait()
	a.unfollow()
}
