package readmodel

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/router/projection"
)

// ErrRebuilding is returned when a read model is being rebuilt already.
var ErrRebuilding = errors.New("it is being rebuilt already, by another process")

// State is what a generation of a read model is there for.
type State string

// The states of a generation.
const (
	Live     State = "live"     // the one that is read and kept up
	Building State = "building" // it is being filled
	Ready    State = "ready"    // it is filled, and may become the live one
	Old      State = "old"      // it was the live one, and may be again
)

// Generation is one of a read model's generations: tables of its own, filled
// from the log by themselves.
type Generation struct {
	Number      int // from 1; never used again
	State       State
	Since       time.Time // when it came to this state
	Definition  string    // of its tables, for people
	Checkpoints []Checkpoint
	Parked      int64 // streams
	Rows        int64
}

// Generations is a store that holds several generations of a read model: one
// is live, others are filled beside it.
type Generations interface {
	Store
	// Generations returns those that are there, oldest first: none if no
	// query-service has run on the store.
	Generations(ctx context.Context, p *projection.Projection) ([]Generation, error)
	// Building returns the checkpoints of the generation that is being filled,
	// none if there is none. It counts nothing: it is cheap.
	Building(ctx context.Context, p *projection.Projection) ([]Checkpoint, error)
	// Fits says whether the live generation is what this binary's projection
	// makes; otherwise it is an [ErrOtherDefinition].
	Fits(ctx context.Context, p *projection.Projection) error
	// Rebuilding makes sure that nobody else, in no process, changes which
	// generations there are, until done. Otherwise it is an [ErrRebuilding].
	Rebuilding(ctx context.Context, p *projection.Projection) (done func(), err error)
	// Begin makes an empty generation, building, with the tables that the
	// projection has.
	Begin(ctx context.Context, p *projection.Projection, partitions int32) (generation int, err error)
	// Fill is Update for a generation that is not the live one.
	Fill(ctx context.Context, p *projection.Projection, moves []Move, fn func(Tx) error) error
	// ViewOf is View of one generation, live or not.
	ViewOf(ctx context.Context, p *projection.Projection, generation int, fn func(View) error) error
	// Finish says that a generation that was building is ready.
	Finish(ctx context.Context, p *projection.Projection, generation int) error
	// Swap makes a generation the live one, and the live one old, in one
	// transaction that holds the live one's updates until it is over. It first
	// lets catchUp fill what the generation lacks, in the same transaction.
	// live are the checkpoints where the live one is held. If one of the
	// generation's is behind them then, or of another log, nothing happens and
	// it is an error.
	Swap(ctx context.Context, p *projection.Projection, generation int, catchUp func(live []Checkpoint, fill Fill) error) error
	// Drop deletes a generation that isn't the live one.
	Drop(ctx context.Context, p *projection.Projection, generation int) error
}

// Fill is [Generations.Fill] within a swap.
type Fill func(moves []Move, fn func(Tx) error) error
