package operations

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// Models works on the read models of a store, while services use store and log.
type Models struct {
	Store      readmodel.Generations
	Log        *kafka.LogReader
	Events     projection.Decoder
	Partitions int32
	Logger     *slog.Logger
	// Progress, if not nil, is called with the number of folded records, and of
	// records to fold.
	Progress func(done, all int64)
	// Compared, if not nil, is [readmodel.Verifier.Compared].
	Compared func(done, all int64)
}

// Ends are the ends of the log, by partition.
func (m *Models) Ends(ctx context.Context) ([]int64, error) {
	ends := make([]int64, m.Partitions)
	for partition := range m.Partitions {
		end, err := m.Log.End(ctx, partition)
		if err != nil {
			return nil, err
		}
		ends[partition] = end
	}
	return ends, nil
}

// Behind is how many records of the log a generation has yet to fold.
func Behind(g readmodel.Generation, ends []int64) (records int64) {
	for _, c := range g.Checkpoints {
		if int(c.Partition) < len(ends) {
			records += ends[c.Partition] - c.Next
		}
	}
	return records
}

// Rebuilt is the result of a rebuild, so far as the rebuild came.
type Rebuilt struct {
	// Dropped are the generations that an interrupted rebuild had left.
	Dropped []int
	// Generation is the new generation, and Filled says that the new generation
	// has all records. Rows and Parked are the numbers of its rows and parked
	// streams; LiveParked is the number of parked streams of the live generation.
	Generation               int
	Filled                   bool
	Rows, Parked, LiveParked int64
	// Swapped is the swap, the zero value for none.
	Swapped Swapped
}

// ErrMoreParked is the error of a rebuild with more parked streams in the new
// generation than in the live one. The new generation stays ready.
var ErrMoreParked = errors.New("more streams are parked in the new generation than in the live one: it is not swapped")

// Rebuild fills a new generation of a read model from the log, and makes the new
// generation live if swap is set.
func (m *Models) Rebuild(ctx context.Context, p *projection.Projection, swap bool) (r Rebuilt, err error) {
	err = m.changing(ctx, p, func(rebuild *readmodel.Rebuild) (err error) {
		if r.Generation, r.Dropped, err = rebuild.Begin(ctx); err != nil {
			return err
		}
		if err := rebuild.Fill(ctx, r.Generation); err != nil {
			return fmt.Errorf("generation %d of %s is not filled, and the next rebuild drops it: %w", r.Generation, p.Name, err)
		}
		filled, live, err := m.generations(ctx, p, r.Generation)
		if err != nil {
			return err
		}
		r.Filled, r.Rows, r.Parked, r.LiveParked = true, filled.Rows, filled.Parked, live.Parked
		if filled.Parked > live.Parked {
			return ErrMoreParked
		}
		if swap {
			r.Swapped, err = m.swap(ctx, rebuild, r.Generation)
		}
		return err
	})
	return r, err
}

// Swapped is the result of a swap: Live is the generation that is live now, and
// Kept the generation that was live before.
type Swapped struct{ Live, Kept int }

// Swap makes a generation live; 0 is the newest generation that is ready.
func (m *Models) Swap(ctx context.Context, p *projection.Projection, generation int) (s Swapped, err error) {
	err = m.changing(ctx, p, func(rebuild *readmodel.Rebuild) (err error) {
		if generation == 0 {
			s, err = m.swapNewest(ctx, rebuild, readmodel.Ready)
		} else {
			s, err = m.swap(ctx, rebuild, generation)
		}
		return err
	})
	return s, err
}

// Rollback makes the newest old generation live again.
func (m *Models) Rollback(ctx context.Context, p *projection.Projection) (s Swapped, err error) {
	err = m.changing(ctx, p, func(rebuild *readmodel.Rebuild) (err error) {
		s, err = m.swapNewest(ctx, rebuild, readmodel.Old)
		return err
	})
	return s, err
}

// Drop deletes a generation that is not live.
func (m *Models) Drop(ctx context.Context, p *projection.Projection, generation int) error {
	return m.changing(ctx, p, func(*readmodel.Rebuild) error { return m.Store.Drop(ctx, p, generation) })
}

// changing runs a function that changes the generations of a read model. At most
// one process does so at a time.
func (m *Models) changing(ctx context.Context, p *projection.Projection, do func(*readmodel.Rebuild) error) error {
	done, err := m.Store.Rebuilding(ctx, p)
	if err != nil {
		return err
	}
	defer done()
	err = do(&readmodel.Rebuild{
		Projection: p, Store: m.Store, Log: m.Log, Events: m.Events, Partitions: m.Partitions, Logger: m.Logger, Progress: m.Progress,
	})
	if errors.Is(err, readmodel.ErrOtherDefinition) {
		err = fmt.Errorf("%w; run this with the binary that made it", err)
	}
	return err
}

// generations returns the generation with this number, and the live generation.
// Zero values are generations that are not there.
func (m *Models) generations(ctx context.Context, p *projection.Projection, number int) (one, live readmodel.Generation, err error) {
	all, err := m.Store.Generations(ctx, p)
	for _, g := range all {
		if g.Number == number {
			one = g
		}
		if g.State == readmodel.Live {
			live = g
		}
	}
	return one, live, err
}

// NoGenerationError says that a read model has no generation in a state.
type NoGenerationError struct {
	Model string
	State readmodel.State
}

// Error implements error.
func (e *NoGenerationError) Error() string {
	if e.State == readmodel.Old {
		return fmt.Sprintf("no generation of %s is there to go back to", e.Model)
	}
	return fmt.Sprintf("no generation of %s is %s", e.Model, e.State)
}

// swapNewest swaps to the newest generation in a state.
func (m *Models) swapNewest(ctx context.Context, rebuild *readmodel.Rebuild, state readmodel.State) (Swapped, error) {
	all, err := m.Store.Generations(ctx, rebuild.Projection)
	if err != nil {
		return Swapped{}, err
	}
	var newest readmodel.Generation
	for _, g := range all {
		if g.State == state && !g.Since.Before(newest.Since) {
			newest = g
		}
	}
	if newest.Number == 0 {
		return Swapped{}, &NoGenerationError{rebuild.Projection.Name, state}
	}
	return m.swap(ctx, rebuild, newest.Number)
}

// swap lets a generation catch up with the log, and makes the generation live.
func (m *Models) swap(ctx context.Context, rebuild *readmodel.Rebuild, generation int) (Swapped, error) {
	name := rebuild.Projection.Name
	one, live, err := m.generations(ctx, rebuild.Projection, generation)
	switch {
	case err != nil:
		return Swapped{}, err
	case one.Number == 0:
		return Swapped{}, notFound(fmt.Sprintf("read model %s has no generation %d", name, generation))
	case one.State == readmodel.Live:
		return Swapped{}, fmt.Errorf("generation %d of %s is the live one already", generation, name)
	case one.State == readmodel.Building:
		return Swapped{}, fmt.Errorf("generation %d of %s is what an interrupted rebuild has left: rebuild, or drop it", generation, name)
	}
	if err := rebuild.Swap(ctx, generation); err != nil {
		return Swapped{}, err
	}
	return Swapped{Live: generation, Kept: live.Number}, nil
}
