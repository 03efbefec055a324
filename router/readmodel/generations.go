package readmodel

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/router/projection"
)

// ErrRebuilding is returned when another process rebuilds the read model.
var ErrRebuilding = errors.New("it is being rebuilt already, by another process")

// State says how a generation of a read model is used.
type State string

// The states of a generation.
const (
	Live     State = "live"     // queries read this generation, and the engine keeps it up
	Building State = "building" // a rebuild fills this generation
	Ready    State = "ready"    // filled; may become live
	Old      State = "old"      // was live; may become live again
)

// Generation is a set of tables for a read model, filled from the log
// independently of other generations.
type Generation struct {
	Number      int // from 1; never used again
	State       State
	Since       time.Time // when the state began
	Definition  string    // of the tables, for people
	Checkpoints []Checkpoint
	Parked      int64 // number of parked streams
	Rows        int64
}

// Generations is a store with several generations of a read model: a live
// generation, and others beside.
type Generations interface {
	Store
	// Generations returns the existing generations, oldest first: none before
	// the first query-service on this store.
	Generations(ctx context.Context, p *projection.Projection) ([]Generation, error)
	// Building returns the checkpoints of the generation in state [Building],
	// nil if there is none. Building counts no rows, so the call is cheap.
	Building(ctx context.Context, p *projection.Projection) ([]Checkpoint, error)
	// Fits returns an [ErrOtherDefinition] if the live generation's definition
	// is not that of this binary's projection.
	Fits(ctx context.Context, p *projection.Projection) error
	// Rebuilding locks the list of generations of a read model, across
	// processes, until done is called. If another process has the lock, the
	// error is an [ErrRebuilding].
	Rebuilding(ctx context.Context, p *projection.Projection) (done func(), err error)
	// Begin creates an empty generation, in state [Building], with the
	// projection's tables.
	Begin(ctx context.Context, p *projection.Projection, partitions int32) (generation int, err error)
	// Fill is [Store.Update] for a generation that is not live.
	Fill(ctx context.Context, p *projection.Projection, moves []Move, fn func(Tx) error) error
	// ViewOf is [Store.View] of a generation, live or not.
	ViewOf(ctx context.Context, p *projection.Projection, generation int, fn func(View) error) error
	// Finish moves a generation from [Building] to [Ready].
	Finish(ctx context.Context, p *projection.Projection, generation int) error
	// Swap makes a generation live, and the live generation old, in one
	// transaction. The transaction holds all updates of the live generation
	// until the end. Within the transaction, Swap first calls catchUp, with the
	// checkpoints of the live generation; catchUp folds the missing records
	// with fill. If a checkpoint of the new generation is then behind the live
	// generation's, or of another log, Swap changes nothing and returns an
	// error.
	Swap(ctx context.Context, p *projection.Projection, generation int, catchUp func(live []Checkpoint, fill Fill) error) error
	// Drop deletes a generation. The live generation can't be dropped.
	Drop(ctx context.Context, p *projection.Projection, generation int) error
}

// Fill is [Generations.Fill] within a swap.
type Fill func(moves []Move, fn func(Tx) error) error
