package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace/millrace/messaging"
)

// Rebuild fills generations of a read model that are not live, straight from
// the log, by the same gate and the same projection as the engine, and makes
// them live. Nobody else may do so at the same time: see
// [Generations.Rebuilding].
type Rebuild struct {
	Projection *Projection
	Store      Generations
	Log        Log
	Partitions int32
	// BatchSize is about how many records are in a transaction.
	BatchSize int
	Logger    *slog.Logger
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
		if err := f.reach(ctx, live, fill); err != nil {
			return fmt.Errorf("catch up with the live one: %w", err)
		}
		return nil
	})
}

// filling is a generation that is being filled.
type filling struct {
	*Rebuild
	at   []Checkpoint // by partition
	bulk *bulk
	read chan []entry
	fail chan error
	stop context.CancelFunc
}

// readAtOnce is how many records of a partition the log hands over at most.
const readAtOnce = 1000

// filling starts to read the log, from the generation's checkpoints on.
func (r *Rebuild) filling(ctx context.Context, generation int) (*filling, error) {
	f := &filling{
		Rebuild: r,
		read:    make(chan []entry, max(int(r.Partitions), r.BatchSize/readAtOnce)), // the next batch, while one is folded
		fail:    make(chan error, r.Partitions),
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
	f.bulk = newBulk(r.Projection, r.Logger, f.at)
	ctx, f.stop = context.WithCancel(ctx)
	for _, at := range f.at {
		go func() {
			f.fail <- r.Log.Follow(ctx, at.Partition, at.Next, func(records []messaging.Record) error {
				select {
				case f.read <- entriesOf(records):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
	}
	return f, nil
}

// catchUp fills up to where the log ends now.
func (f *filling) catchUp(ctx context.Context) error {
	ends := slices.Clone(f.at)
	var done, all int64
	for i := range ends {
		end, err := f.Log.End(ctx, ends[i].Partition)
		if err != nil {
			return err
		}
		ends[i].Next = end
		all += end
		done += f.at[i].Next
	}
	return f.reach(ctx, ends, func(moves []Move, fn func(Tx) error) error {
		if err := f.fillRetrying(ctx, moves, fn); err != nil {
			return err
		}
		for _, move := range moves {
			done += move.To.Next - move.From.Next
		}
		if f.Progress != nil {
			f.Progress(done, max(all, done))
		}
		return nil
	})
}

// fillRetrying fills, and tries until it is done, but where another try is of
// no use.
func (f *filling) fillRetrying(ctx context.Context, moves []Move, fn func(Tx) error) error {
	for try := 0; ; try++ {
		err := f.Store.Fill(ctx, f.Projection, moves, fn)
		if err == nil || ctx.Err() != nil || errors.Is(err, ErrCheckpointMoved) || errors.Is(err, ErrOtherDefinition) {
			return err
		}
		f.Logger.Warn("can't write to the store; trying again", "read model", f.Projection.Name, "error", err)
		if err := messaging.Backoff(ctx, try); err != nil {
			return err
		}
	}
}

// reach fills until it is at or past all of these checkpoints.
func (f *filling) reach(ctx context.Context, ends []Checkpoint, fill Fill) error {
	for !f.reached(ends) {
		records, err := f.next(ctx)
		if err != nil {
			return err
		}
		if err := f.fold(ctx, records, fill); err != nil {
			return err
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

// next waits for records, and takes what is there, up to a full batch.
func (f *filling) next(ctx context.Context) (records []entry, err error) {
	select {
	case records = <-f.read:
	case err := <-f.fail:
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for len(records) < f.BatchSize {
		select {
		case more := <-f.read:
			records = append(records, more...)
		default:
			return records, nil
		}
	}
	return records, nil
}

// fold folds records, of any partitions, in one transaction.
func (f *filling) fold(ctx context.Context, records []entry, fill Fill) error {
	at := slices.Clone(f.at)
	for i := range records {
		to := &at[records[i].Partition]
		to.Next, to.Digest = records[i].Offset+1, records[i].Digest
	}
	var moves []Move
	for i, to := range at {
		if to != f.at[i] {
			moves = append(moves, Move{f.at[i], to})
		}
	}
	err := fill(moves, func(tx Tx) error { return f.bulk.commit(ctx, tx, records) })
	if err != nil {
		return err
	}
	f.bulk.done()
	f.at = at
	return nil
}
