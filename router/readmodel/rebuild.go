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

// Rebuild fills generations of a read model that are not live, straight from
// the log, by the same gate and the same projection as the engine, and makes
// them live. Nobody else may do so at the same time: see
// [Generations.Rebuilding].
type Rebuild struct {
	Projection *projection.Projection
	Store      Generations
	Log        Log
	Events     projection.Decoder
	Partitions int32
	Logger     *slog.Logger
	// Progress, if not nil, is told how many of the log's records are in, each
	// time that some are.
	Progress func(done, all int64)
}

// swapTimeout bounds how long a swap holds the live generation's updates.
const swapTimeout = 10 * time.Second

// Begin makes a new generation. What an interrupted rebuild has left is
// dropped: nobody knows what code made it. It returns the generations dropped,
// too.
func (r *Rebuild) Begin(ctx context.Context) (generation int, dropped []int, err error) {
	// There may be none at all yet, or a live one of another binary's.
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

// Fill folds the log into a generation, up to where it ends now, and checks
// that the last records that are in are those of the log.
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

// Swap lets a generation catch up, and makes it the live one. The last records
// are folded while the live one's updates are held, so that no partition ever
// goes back.
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

// filling is a generation that is being filled.
type filling struct {
	*Rebuild
	generation int
	at         []Checkpoint // by partition
	written    []Checkpoint // those in the store, once what is under way is
	ends       []Checkpoint // where the log ended
	bulk       *bulk
	under      *transaction // the last one begun, nil if none was
	read       chan []entry
	free       chan []entry // those that are folded, to be used again
	fail       chan error
	// stop ends what reads the log, and waits for that: a partition can be read
	// once at a time.
	stop func()
}

const (
	// readAhead is how many times the log hands over records, of one partition
	// each, before they are folded. That goes on while others are written.
	readAhead = 20
	// readBeside is how many partitions are read at a time up to where they
	// ended: one alone would wait for the broker between two answers. With all
	// of them, the streams of all would be in use at the same time.
	readBeside = 2
)

// filling starts to read the log, from the generation's checkpoints on.
func (r *Rebuild) filling(ctx context.Context, generation int) (*filling, error) {
	f := &filling{
		Rebuild: r, generation: generation,
		read: make(chan []entry, readAhead),
		free: make(chan []entry, readAhead),
		fail: make(chan error, r.Partitions),
	}
	err := r.Store.ViewOf(ctx, r.Projection, generation, func(v View) (err error) {
		f.at, err = v.Checkpoints(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, at := range f.at {
		if err := checkOrigin(ctx, r.Log, r.Projection, at); err != nil {
			return nil, err
		}
	}
	f.written = slices.Clone(f.at)
	f.ends = slices.Clone(f.at)
	for i := range f.ends {
		if f.ends[i].Next, err = r.Log.End(ctx, f.ends[i].Partition); err != nil {
			return nil, err
		}
	}
	f.bulk = newBulk(r.Projection, r.Logger, f.at)
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

// follow reads a partition. It says when it is where the log ended.
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
		case f.read <- (reading{f.Projection, f.Events}).entries(entries, records):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// catchUp fills up to where the log ended.
func (f *filling) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		_ = f.awaitWrite() // it was looked at, or something else failed before
	}()
	var all int64
	for _, end := range f.ends {
		all += end.Next
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

// done is how many records are in.
func (f *filling) done() (done int64) {
	for _, at := range f.at {
		done += at.Next
	}
	return done
}

// move moves on to behind these records.
func (f *filling) move(entries []entry) {
	for i := range entries {
		to := &f.at[entries[i].Partition]
		to.Next, to.Digest = entries[i].Offset+1, entries[i].Digest
	}
}

// moves are those of the checkpoints in the store to where the fold is.
func (f *filling) moves() (moves []Move) {
	for i, to := range f.at {
		if from := f.written[i]; to != from {
			moves = append(moves, Move{from, to})
		}
	}
	return moves
}

// transaction is one that is under way while the fold goes on.
type transaction struct {
	over chan struct{}
	err  error // once it is over
}

// awaitWrite waits until nothing is under way, and says how that ended.
func (f *filling) awaitWrite() error {
	if f.under == nil {
		return nil
	}
	<-f.under.over
	return f.under.err
}

// write begins to write what has changed since the last time, with the
// checkpoints that it is the fold up to, in one transaction, once the one before
// is over.
func (f *filling) write(ctx context.Context) error {
	if err := f.awaitWrite(); err != nil {
		return err
	}
	moves := f.moves()
	if len(moves) == 0 {
		return nil
	}
	changed, t := f.bulk.take(), &transaction{over: make(chan struct{})}
	copy(f.written, f.at)
	f.under = t
	go func() {
		defer close(t.over)
		t.err = f.retrying(ctx, "write to", func() error {
			return f.Store.Fill(ctx, f.Projection, moves, func(tx Tx) error { return changed.write(ctx, tx) })
		})
	}()
	return nil
}

// foldIn folds records within a swap, and writes what has changed.
func (f *filling) foldIn(ctx context.Context, entries []entry, fill Fill) error {
	f.move(entries)
	if err := fill(f.moves(), func(tx Tx) error { return f.bulk.commit(ctx, tx, entries) }); err != nil {
		return err
	}
	f.bulk.flushed()
	copy(f.written, f.at)
	return nil
}

// Heads looks heads up in the generation, as it is in the store once what is
// under way is.
func (f *filling) Heads(ctx context.Context, streams []string) (heads map[string]StreamHead, err error) {
	err = f.view(ctx, func(v View) (err error) {
		heads, err = v.Heads(ctx, streams)
		return err
	})
	return heads, err
}

// Rows does so with rows.
func (f *filling) Rows(ctx context.Context, table string, keys []projection.Row) (rows []projection.Row, err error) {
	err = f.view(ctx, func(v View) (err error) {
		rows, err = v.Rows(ctx, table, keys)
		return err
	})
	return rows, err
}

func (f *filling) view(ctx context.Context, fn func(View) error) error {
	if err := f.awaitWrite(); err != nil {
		return err
	}
	return f.retrying(ctx, "read from", func() error { return f.Store.ViewOf(ctx, f.Projection, f.generation, fn) })
}

// retrying tries until it is done, but where another try is of no use.
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

// reach takes records until it is at or past all of these checkpoints.
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

// next waits for records of a partition.
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
