package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
)

// Rebuild fills a generation that is not live straight from the log, through
// the same gate and the same projection as the engine, and makes the generation
// live. The caller holds the lock of [Generations.Rebuilding].
type Rebuild struct {
	Projection *projection.Projection
	Store      Generations
	Log        Log
	Events     projection.Decoder
	Partitions int32
	Logger     *slog.Logger
	// Progress, if not nil, is called after each step with the number of folded
	// records, and the number of records in the log.
	Progress func(done, all int64)
}

// swapTimeout limits how long a swap holds the live generation's updates.
const swapTimeout = 10 * time.Second

// Begin creates a generation. Begin first drops generations in state
// [Building]: an interrupted rebuild left them, perhaps of another binary. The
// dropped generations are returned too.
func (r *Rebuild) Begin(ctx context.Context) (generation int, dropped []int, err error) {
	// A rebuild may make the first generation, or replace another binary's.
	if err := r.Store.Prepare(ctx, r.Projection, r.Partitions); err != nil && !errors.Is(err, ErrOtherDefinition) {
		return 0, nil, err
	}
	all, err := r.Store.Generations(ctx, r.Projection)
	if err != nil {
		return 0, nil, err
	}
	for _, g := range all {
		if g.State == Building {
			if err := r.Store.Drop(ctx, r.Projection, g.Number); err != nil {
				return 0, nil, err
			}
			dropped = append(dropped, g.Number)
		}
	}
	generation, err = r.Store.Begin(ctx, r.Projection, r.Partitions)
	return generation, dropped, err
}

// Fill folds the log into a generation, up to the end that the log has at the
// start of the fill. At the end, Fill compares the checkpoints' digests with
// the log.
func (r *Rebuild) Fill(ctx context.Context, generation int) error {
	f, err := r.filling(ctx, generation)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	for _, at := range f.at {
		if err := checkOrigin(ctx, r.Log, r.Projection, at); err != nil {
			return err
		}
	}
	return r.Store.Finish(ctx, r.Projection, generation)
}

// Swap folds the missing records into a generation, and makes the generation
// live. The last records are folded while the live generation's updates wait,
// so no partition goes back.
func (r *Rebuild) Swap(ctx context.Context, generation int) error {
	f, err := r.filling(ctx, generation)
	if err != nil {
		return err
	}
	defer f.stop()
	if err := f.catchUp(ctx); err != nil {
		return err
	}
	return r.Store.Swap(ctx, r.Projection, generation, func(live []Checkpoint, fill Fill) error {
		ctx, cancel := context.WithTimeout(ctx, swapTimeout)
		defer cancel()
		err := f.reach(ctx, live, func(entries []entry) error { return f.foldIn(ctx, entries, fill) })
		if err != nil {
			return fmt.Errorf("catch up with the live one: %w", err)
		}
		return nil
	})
}

// filling is the work on a generation in a rebuild.
type filling struct {
	*Rebuild
	*bulkWriter
	ends []Checkpoint // the log's end at the start
	read chan []entry
	free chan []entry // folded slices, for reuse
	fail chan error
	// stop ends the readers of the log, and waits for the readers: a partition
	// can have one reader only.
	stop func()
}

const (
	// readAhead is the number of slices of records, each of one partition, that
	// the log may hand over before the fold takes them. The log goes on while a
	// transaction is under way.
	readAhead = 20
	// readBeside is the number of partitions that are read at a time. A single
	// reader would wait for the broker between two fetches. With readers for
	// all partitions, all streams would be in use at the same time.
	readBeside = 2
)

// filling starts the readers of the log, at the generation's checkpoints.
func (r *Rebuild) filling(ctx context.Context, generation int) (*filling, error) {
	f := &filling{
		Rebuild: r,
		read:    make(chan []entry, readAhead),
		free:    make(chan []entry, readAhead),
		fail:    make(chan error, r.Partitions),
	}
	var at []Checkpoint
	err := r.Store.ViewOf(ctx, r.Projection, generation, func(v View) (err error) {
		at, err = v.Checkpoints(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, at := range at {
		if err := checkOrigin(ctx, r.Log, r.Projection, at); err != nil {
			return nil, err
		}
	}
	f.bulkWriter = newBulkWriter(newBulk(r.Projection, r.Logger, at), at)
	f.bulk.besideLive()
	f.view = func(ctx context.Context, fn func(View) error) error {
		return f.retrying(ctx, "read from", func() error { return r.Store.ViewOf(ctx, r.Projection, generation, fn) })
	}
	f.update = func(ctx context.Context, moves []Move, fn func(Tx) error) error {
		return f.retrying(ctx, "write to", func() error { return r.Store.Fill(ctx, r.Projection, moves, fn) })
	}
	f.ends = slices.Clone(at)
	for i := range f.ends {
		if f.ends[i].Next, err = r.Log.End(ctx, f.ends[i].Partition); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var reads sync.WaitGroup
	f.stop = func() {
		cancel()
		reads.Wait()
	}
	from, turns := slices.Clone(f.at), make(chan struct{}, readBeside)
	reads.Go(func() {
		for i, at := range from {
			select {
			case turns <- struct{}{}:
			case <-ctx.Done():
				return
			}
			over := sync.OnceFunc(func() { <-turns })
			reads.Go(func() { f.fail <- f.follow(ctx, at, f.ends[i].Next, over) })
		}
	})
	return f, nil
}

// follow reads a partition. follow calls over when the reader has reached the
// end that the log had at the start.
func (f *filling) follow(ctx context.Context, at Checkpoint, end int64, over func()) error {
	if at.Next >= end {
		over()
	}
	return f.Log.Follow(ctx, at.Partition, at.Next, func(records []eventlog.Record) error {
		if records[len(records)-1].Offset+1 >= end {
			over()
		}
		var entries []entry
		select {
		case entries = <-f.free:
		default:
		}
		select {
		case f.read <- (reading{f.Projection, f.Events, nil}).entries(entries, slices.Clone(records)):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// catchUp folds up to the end that the log had at the start.
func (f *filling) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		_ = f.awaitWrite() // the error was reported, or another error came before
	}()
	var all int64
	for _, end := range f.ends {
		all += end.Next
	}
	if f.Progress != nil {
		f.Progress(f.done(), max(all, f.done()))
	}
	err := f.reach(ctx, f.ends, func(entries []entry) error {
		if err := f.bulk.apply(ctx, f, entries); err != nil {
			return err
		}
		f.move(entries)
		partition := entries[0].Partition
		if f.bulk.full(f.at[partition].Next >= f.ends[partition].Next) {
			if err := f.write(ctx); err != nil {
				return err
			}
		}
		if f.Progress != nil {
			done := f.done()
			f.Progress(done, max(all, done))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := f.write(ctx); err != nil {
		return err
	}
	return f.awaitWrite()
}

// done returns the number of folded records.
func (f *filling) done() (done int64) {
	for _, at := range f.at {
		done += at.Next
	}
	return done
}

// foldIn folds records within a swap, and writes the changes.
func (f *filling) foldIn(ctx context.Context, entries []entry, fill Fill) error {
	f.move(entries)
	if err := fill(f.moves(), func(tx Tx) error { return f.bulk.commit(ctx, tx, entries) }); err != nil {
		return err
	}
	f.bulk.flushed()
	copy(f.written, f.at)
	return nil
}

// retrying tries until do succeeds, except after errors that another try can't
// help.
func (f *filling) retrying(ctx context.Context, what string, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrCheckpointMoved) || errors.Is(err, ErrOtherDefinition) {
			return err
		}
		f.Logger.Warn("can't "+what+" the store; trying again", "read model", f.Projection.Name, "error", err)
		if err := kafka.Backoff(ctx, try); err != nil {
			return err
		}
	}
}

// reach takes records until every checkpoint is at or past its end.
func (f *filling) reach(ctx context.Context, ends []Checkpoint, take func([]entry) error) error {
	for !f.reached(ends) {
		entries, err := f.next(ctx)
		if err != nil {
			return err
		}
		if err := take(entries); err != nil {
			return err
		}
		clear(entries)
		select {
		case f.free <- entries[:0]:
		default:
		}
	}
	return nil
}

func (f *filling) reached(ends []Checkpoint) bool {
	for i, end := range ends {
		if f.at[i].Next < end.Next {
			return false
		}
	}
	return true
}

// next returns the next records, all of one partition.
func (f *filling) next(ctx context.Context) (entries []entry, err error) {
	select {
	case entries = <-f.read:
		return entries, nil
	case err := <-f.fail:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
