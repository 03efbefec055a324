package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// Store is a [readmodel.Store]. Store caches facts about a projection by its
// pointer, so a projection must always be passed by the same pointer. Store is
// safe for concurrent use.
type Store struct {
	dialect dialect
	write   *pool
	read    *pool
	models  sync.Map // modelKey: *model
	live    sync.Map // *projection.Projection: *views of the live generation
	// rebuilding has the names of the read models that a rebuild of this store
	// has locked.
	rebuilding sync.Map
	filling    turns
	sharing    sharing

	// permits is nil, except in memory: a reader takes one permit, and a writer
	// takes all.
	permits *semaphore.Weighted
	// anchor keeps a database in memory alive; nil for other databases.
	anchor *pool
	// wal is nil, except for a SQLite file.
	wal *wal
}

var _ readmodel.Store = (*Store)(nil)

type modelKey struct {
	projection *projection.Projection
	generation int
}

func (s *Store) model(p *projection.Projection, generation int) (*model, error) {
	key := modelKey{p, generation}
	if known, ok := s.models.Load(key); ok {
		return known.(*model), nil //nolint:errcheck // nothing else is in there
	}
	m, err := newModel(s.dialect, p, generation)
	if err != nil {
		return nil, err
	}
	known, _ := s.models.LoadOrStore(key, m)
	return known.(*model), nil //nolint:errcheck // nothing else is in there
}

// wait waits for n permits.
func (s *Store) wait(ctx context.Context, n int64) (done func(), err error) {
	if s.permits == nil {
		return func() {}, nil
	}
	if err := s.permits.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.permits.Release(n) }, nil
}

// Update implements [readmodel.Store]. Updates of several read models share a
// transaction.
func (s *Store) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	w := work{ctx: ctx, projection: p, moves: moves, ahead: ahead, fn: fn}
	if err := s.prepareWork(&w); err != nil {
		return err
	}
	if !s.sharing.wantsAlone(&w) {
		if err := s.share(w); !errors.Is(err, errAlone) {
			return err
		}
		w.ahead = nil // a query may be what failed
	}
	return s.update(&w, w.model.move)
}

func (s *Store) prepareWork(w *work) (err error) {
	if err := checkMoves(w.moves); err != nil {
		return w.fail(err)
	}
	if w.model, err = s.model(w.projection, w.moves[0].From.Generation); err != nil {
		return err
	}
	return nil
}

// update runs an update in a transaction of its own.
func (s *Store) update(w *work, text string) (err error) {
	var took time.Duration
	defer func() { s.sharing.note(w.projection, err != nil || took > slowUpdate) }()
	done, err := s.wait(w.ctx, sqliteReaders)
	if err != nil {
		return w.fail(err)
	}
	defer done()
	if err := s.write.prepare(w.ctx, w.model.updates); err != nil {
		return w.fail(err)
	}
	tx, err := s.write.beginUpdates(w.ctx)
	if err != nil {
		return w.fail(err)
	}
	defer tx.rollback() // undoes an uncommitted transaction, also when fn panics
	began := time.Now()
	if err := s.run(tx, w, text); err != nil {
		return err
	}
	took = time.Since(began)
	if err := tx.commit(w.ctx); err != nil {
		return w.fail(err)
	}
	return nil
}

// run moves all checkpoints of an update, and calls its function. run writes
// nothing that is to be committed, if the function fails.
func (s *Store) run(tx *transaction, w *work, text string) error {
	b := &batch{dialect: s.dialect, model: w.model, tx: tx, kept: tx.take(w.model.physical)}
	if tx.pipe != nil && w.ahead != nil {
		tx.pipe.behind = b.ask(w.ahead())
	}
	if err := s.move(w.ctx, tx, w.model, w.moves, text); err != nil {
		return w.fail(err)
	}
	return w.write(b)
}

// write calls the function of an update.
func (w *work) write(b *batch) error {
	if err := w.fn(b); err != nil {
		return err
	}
	if err := w.ctx.Err(); err != nil {
		return w.fail(err)
	}
	b.tx.keep(w.model.physical, b.keep)
	return nil
}

// move moves all checkpoints, or none, of a generation of this binary.
func (s *Store) move(ctx context.Context, tx *transaction, m *model, moves []readmodel.Move, text string) error {
	moved, err := s.dialect.move(ctx, tx, text, moves)
	if err != nil {
		return err
	}
	return s.moved(ctx, tx, m, moved)
}

// moved returns an error if checkpoints had moved before, or if the generation is
// another binary's.
func (s *Store) moved(ctx context.Context, tx *transaction, m *model, moved []int32) error {
	if len(moved) > 0 {
		return &readmodel.MovedError{Partitions: moved}
	}
	return m.check(ctx, tx)
}

// checkMoves returns an error for a partition with two moves: the databases
// would differ.
func checkMoves(moves []readmodel.Move) error {
	if len(moves) == 0 {
		return errors.New("no checkpoint to move")
	}
	seen := make(map[int32]bool, len(moves))
	for _, move := range moves {
		partition := move.From.Partition
		switch {
		case move.To.Partition != partition:
			return fmt.Errorf("from partition %d to partition %d", partition, move.To.Partition)
		case move.From.Generation != moves[0].From.Generation:
			return fmt.Errorf("generations %d and %d in one", moves[0].From.Generation, move.From.Generation)
		case seen[partition]:
			return fmt.Errorf("partition %d is there twice", partition)
		}
		seen[partition] = true
	}
	return nil
}

// Checkpoints implements [readmodel.Store].
func (s *Store) Checkpoints(ctx context.Context, p *projection.Projection) (all []readmodel.Checkpoint, err error) {
	err = s.View(ctx, p, func(v readmodel.View) error {
		all, err = v.Checkpoints(ctx)
		return err
	})
	return all, err
}

// Ping implements [readmodel.Store].
func (s *Store) Ping(ctx context.Context) error {
	done, err := s.wait(ctx, 1)
	if err != nil {
		return fmt.Errorf("reach the store: %w", err)
	}
	defer done()
	var answer int
	if err := s.read.QueryRowContext(ctx, s.dialect.probe()).Scan(&answer); err != nil {
		return fmt.Errorf("reach the store: %w", pooled(ended(ctx, err)))
	}
	return nil
}

// CheckTables returns a [readmodel.ErrNewerStore] if a newer binary has changed
// the tables so that this binary can't use the tables.
func (s *Store) CheckTables(ctx context.Context) error {
	done, err := s.wait(ctx, 1)
	if err != nil {
		return err
	}
	defer done()
	return s.checkNewer(ctx)
}

// Close implements [readmodel.Store].
func (s *Store) Close() error {
	var err error
	if s.wal != nil {
		err = s.wal.close()
	}
	err = errors.Join(err, s.read.Close(), s.write.Close())
	if s.anchor != nil {
		err = errors.Join(err, s.anchor.Close())
	}
	return err
}
