// Package sqlstore keeps read models in SQL databases: SQLite, in a file or in
// memory, and PostgreSQL. They behave alike.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// Store is a [readmodel.Store]. It keeps what it knows about a projection by
// its address: give it the same one each time. It is safe for concurrent use.
type Store struct {
	dialect dialect
	write   *pool
	read    *pool
	models  sync.Map // modelKey: *model
	// rebuilding are the names of the read models that this store rebuilds.
	rebuilding sync.Map
	filling    turns

	// turns are for readers, one each, and for writers, all at once. Nil if
	// the database can do without.
	turns *semaphore.Weighted
	// anchor keeps a database in memory there. Nil if it isn't in memory.
	anchor *pool
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

// wait waits for n turns.
func (s *Store) wait(ctx context.Context, n int64) (done func(), err error) {
	if s.turns == nil {
		return func() {}, nil
	}
	if err := s.turns.Acquire(ctx, n); err != nil {
		return nil, err
	}
	return func() { s.turns.Release(n) }, nil
}

// Update is [readmodel.Store.Update].
func (s *Store) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, fn func(readmodel.Tx) error) error {
	return s.update(ctx, p, moves, func(m *model) string { return m.move }, fn)
}

// update does so with one of the statements that move checkpoints.
func (s *Store) update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, by func(*model) string, fn func(readmodel.Tx) error) error {
	fail := func(err error) error { return fmt.Errorf("update read model %s: %w", p.Name, err) }
	if err := checkMoves(moves); err != nil {
		return fail(err)
	}
	m, err := s.model(p, moves[0].From.Generation)
	if err != nil {
		return err
	}
	done, err := s.wait(ctx, sqliteReaders)
	if err != nil {
		return fail(err)
	}
	defer done()
	if err := s.write.prepare(ctx, m.updates); err != nil {
		return fail(err)
	}
	tx, err := s.write.begin(ctx, s.dialect.writes())
	if err != nil {
		return fail(err)
	}
	defer tx.Rollback() // of what isn't committed, also when fn panics
	if err := s.move(ctx, tx, m, by(m), moves); err != nil {
		return fail(err)
	}
	if err := fn(&batch{dialect: s.dialect, model: m, tx: tx}); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fail(err)
	}
	return nil
}

// move moves checkpoints, all or none, of tables that are this binary's.
func (s *Store) move(ctx context.Context, tx *transaction, m *model, by string, moves []readmodel.Move) error {
	moved, err := s.dialect.move(ctx, tx, by, moves)
	if err != nil {
		return err
	}
	if len(moved) > 0 {
		return &readmodel.MovedError{Partitions: moved}
	}
	return m.check(ctx, tx)
}

// checkMoves refuses a partition that is there twice: which of the two is
// meant would depend on the database.
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

// Checkpoints is [readmodel.Store.Checkpoints].
func (s *Store) Checkpoints(ctx context.Context, p *projection.Projection) (all []readmodel.Checkpoint, err error) {
	err = s.View(ctx, p, func(v readmodel.View) error {
		all, err = v.Checkpoints(ctx)
		return err
	})
	return all, err
}

// Ping is [readmodel.Store.Ping].
func (s *Store) Ping(ctx context.Context) error {
	done, err := s.wait(ctx, 1)
	if err != nil {
		return fmt.Errorf("reach the store: %w", err)
	}
	defer done()
	var answer int
	if err := s.read.QueryRowContext(ctx, s.dialect.probe()).Scan(&answer); err != nil {
		return fmt.Errorf("reach the store: %w", err)
	}
	return nil
}

// Close is [readmodel.Store.Close].
func (s *Store) Close() error {
	err := errors.Join(s.read.Close(), s.write.Close())
	if s.anchor != nil {
		err = errors.Join(err, s.anchor.Close())
	}
	return err
}
