package readmodel

import (
	"context"
	"errors"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// farBehind is the number of missing records at which an assigned partition
	// is caught up in bulk. The subscription is fast enough for fewer records.
	farBehind = 5000
	// besideBatch is the number of records in a transaction of a catch-up beside
	// other writers.
	besideBatch = 10_000
)

// errBeside is returned if another writer may have changed the rows and heads
// that a catch-up keeps in memory.
var errBeside = errors.New("another process has written to the read model")

// catchUp folds a partition that is far behind straight from the log, because a
// subscription hands over messages one by one. catchUp returns the checkpoint
// where the subscription starts. After an error the committed transactions
// stay.
func (e *Engine) catchUp(assignment *kafka.Assignment, at Checkpoint) (Checkpoint, error) {
	ctx := assignment.Context
	defer e.setBehind(at.Partition, 0)
	for {
		end, err := e.Log.End(ctx, at.Partition)
		if err != nil || end-at.Next < farBehind {
			return at, err
		}
		e.setBehind(at.Partition, end-at.Next)
		e.Logger.Info("catching up in bulk", "read model", e.Projection.Name, "partition", at.Partition, "records", end-at.Next)
		at, err = e.catchUpTo(ctx, at, end)
		if errors.Is(err, errBeside) {
			at, err = e.start(assignment)
		}
		if err != nil {
			return at, err
		}
	}
}

func (e *Engine) catchUpTo(ctx context.Context, at Checkpoint, end int64) (Checkpoint, error) {
	c := e.joinCatchUp(ctx)
	defer e.leaveCatchUp(c)
	if err := c.begin(at); err != nil {
		return at, err
	}
	err := e.Reading.read(c.ctx, e, at.Partition, at.Next, end, func(entries []entry) error { return c.take(entries, end) })
	return c.finish(at.Partition, err)
}

// catchUp is the work of an engine on the partitions that are far behind: one
// fold in memory for all of them, and few large transactions.
//
// Other processes may own partitions of the same read model, and partitions may
// share rows; a retry or a repair may change rows too. So each transaction
// moves its checkpoints only if all other checkpoints, and the number of holds,
// are as they were when the fold began. Otherwise the fold begins anew; beside
// another process, with transactions that look up everything.
type catchUp struct {
	engine *Engine
	ctx    context.Context //nolint:containedctx // of all partitions; the cause of its end is the result
	fail   context.CancelCauseFunc

	mu sync.Mutex
	*bulkWriter
	holds   int64
	reading int     // partitions that are being read
	beside  bool    // other processes update the read model
	waiting []entry // for the next transaction, if beside
	// committed is the progress of each partition in the store.
	committed []eventlog.Progress

	members int // calls of catchUpTo, guarded by Engine.mu
}

func (e *Engine) joinCatchUp(ctx context.Context) *catchUp {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.Reading == nil {
		e.Reading = new(SharedReading)
	}
	c := e.catching
	if c == nil {
		c = &catchUp{engine: e, beside: e.beside}
		c.ctx, c.fail = context.WithCancelCause(ctx)
		e.catching = c
	}
	c.members++
	return c
}

// leaveCatchUp returns when nothing is written any more, if no partition is
// left.
func (e *Engine) leaveCatchUp(c *catchUp) {
	e.mu.Lock()
	c.members--
	last := c.members == 0
	if last {
		e.catching = nil
	}
	e.mu.Unlock()
	if !last {
		return
	}
	c.fail(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bulkWriter != nil {
		_ = c.awaitWrite() // the partitions have the error
	}
}

// begin adds a partition, with its checkpoint. The first partition starts the
// fold, at the checkpoints of the store.
func (c *catchUp) begin(at Checkpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bulkWriter == nil {
		if err := c.open(); err != nil {
			return err
		}
	}
	if c.at[at.Partition] != at {
		c.fail(errBeside)
		return errBeside
	}
	c.reading++
	return nil
}

func (c *catchUp) open() error {
	e := c.engine
	var all []Checkpoint
	err := e.Store.View(c.ctx, e.Projection, func(v View) (err error) {
		if all, err = v.Checkpoints(c.ctx); err != nil {
			return err
		}
		c.holds, err = v.Holds(c.ctx)
		return err
	})
	if err != nil {
		return err
	}
	c.committed = make([]eventlog.Progress, len(all))
	for i := range all {
		c.committed[i].Set(all[i].Next)
	}
	c.bulkWriter = newBulkWriter(newBulk(e.Projection, e.Logger, all), all)
	c.bulk.oneByOne = e.Reading.together() == 1
	c.view = func(ctx context.Context, fn func(View) error) error { return e.Store.View(ctx, e.Projection, fn) }
	c.update = c.updateAlone
	return nil
}

// take folds records of a partition that is caught up to an end.
func (c *catchUp) take(entries []entry, end int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	if err := c.fold(entries, end); err != nil {
		c.fail(err)
		return err
	}
	return nil
}

func (c *catchUp) fold(entries []entry, end int64) error {
	c.engine.setBehind(entries[0].Partition, end-entries[len(entries)-1].Offset-1)
	if c.beside {
		c.waiting = append(c.waiting, entries...)
		for i := len(c.waiting) - len(entries); i < len(c.waiting); i++ {
			r := *c.waiting[i].Record // the reader uses the memory of its records again
			c.waiting[i].Record = &r
		}
		c.move(entries)
		if len(c.waiting) < besideBatch {
			return nil
		}
		return c.updateBeside()
	}
	if err := c.bulk.apply(c.ctx, c, entries); err != nil {
		return err
	}
	c.move(entries)
	if !c.bulk.full(c.at[entries[0].Partition].Next >= end) {
		return nil
	}
	return c.write(c.ctx)
}

// finish ends a partition's reading. finish returns once the partition's
// records are committed. The last partition needn't wait for more records.
func (c *catchUp) finish(partition int32, failed error) (Checkpoint, error) {
	c.mu.Lock()
	at := c.at[partition]
	c.reading--
	if c.reading == 0 && c.ctx.Err() == nil {
		if err := c.flush(); err != nil {
			c.fail(err)
		}
	}
	c.mu.Unlock()
	if failed != nil && c.ctx.Err() == nil {
		return at, failed
	}
	if !c.committed[partition].Await(c.ctx, at.Next) {
		return at, context.Cause(c.ctx)
	}
	return at, nil
}

func (c *catchUp) flush() error {
	if c.beside {
		return c.updateBeside()
	}
	if err := c.write(c.ctx); err != nil {
		return err
	}
	return c.awaitWrite()
}

// updateAlone writes if nobody else has written since the fold began.
func (c *catchUp) updateAlone(ctx context.Context, moves []Move, fn func(Tx) error) error {
	e, all := c.engine, moves
	for i, at := range c.written {
		if !movesPartition(moves, int32(i)) {
			all = append(all, Move{at, at})
		}
	}
	err := e.Store.Update(ctx, e.Projection, all, nil, func(tx Tx) error {
		if holds, err := tx.Holds(ctx); err != nil || holds != c.holds {
			return errors.Join(errBeside, err)
		}
		return fn(tx)
	})
	if moved := (*MovedError)(nil); errors.As(err, &moved) && !movesPartition(moves, moved.Partitions...) {
		e.mu.Lock()
		e.beside = true
		e.mu.Unlock()
		err = errBeside
	}
	if err != nil {
		c.fail(err)
		return err
	}
	c.tell(moves)
	return nil
}

func movesPartition(moves []Move, any ...int32) bool {
	for i := range moves {
		for _, partition := range any {
			if moves[i].To.Partition == partition {
				return true
			}
		}
	}
	return false
}

// updateBeside writes the waiting records, and looks up all rows and heads
// within the transaction.
func (c *catchUp) updateBeside() error {
	e, moves := c.engine, c.moves()
	if len(moves) == 0 {
		return nil
	}
	err := e.Store.Update(c.ctx, e.Projection, moves, aheadOf(e.Projection, c.waiting, false), func(tx Tx) error {
		return newFold(e.Projection, e.Logger).commit(c.ctx, tx, c.waiting)
	})
	if err != nil {
		return err
	}
	clear(c.waiting)
	c.waiting = c.waiting[:0]
	copy(c.written, c.at)
	c.tell(moves)
	return nil
}

// tell tells of committed checkpoints.
func (c *catchUp) tell(moves []Move) {
	for _, move := range moves {
		c.engine.Waits.Moved(c.engine.Store, c.engine.Projection, move.To)
		c.committed[move.To.Partition].Set(move.To.Next)
	}
}

// setBehind notes how many records a partition in a bulk catch-up lacks.
func (e *Engine) setBehind(partition int32, records int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if records == 0 {
		delete(e.behind, partition)
		return
	}
	if e.behind == nil {
		e.behind = map[int32]int64{}
	}
	e.behind[partition] = records
}
