package sqlstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// Hold implements [readmodel.Store].
func (s *Store) Hold(ctx context.Context, p *projection.Projection, fn func(readmodel.Tx, readmodel.View) error) error {
	fail := func(err error) error { return fmt.Errorf("hold read model %s: %w", p.Name, err) }
	done, err := s.wait(ctx, sqliteReaders)
	if err != nil {
		return fail(err)
	}
	defer done()
	tx, err := s.write.begin(ctx, s.dialect.writes())
	if err != nil {
		return fail(err)
	}
	defer tx.rollback() // undoes an uncommitted transaction, also when fn panics
	m, err := s.holdLive(ctx, tx, p)
	if err != nil {
		return fail(err)
	}
	if err := m.check(ctx, tx); err != nil {
		return fail(err)
	}
	if _, err := tx.exec(ctx, "UPDATE generations SET holds = holds + 1 WHERE "+and(m.scope.conditions())); err != nil {
		return fail(err)
	}
	checkpoints, err := readCheckpoints(ctx, tx, m.checkpoints)
	if err != nil {
		return fail(err)
	}
	// What fn parks, the view shows.
	v := &view{dialect: s.dialect, model: m, tx: tx, checkpoints: checkpoints, parked: true}
	if err := fn(&batch{dialect: s.dialect, model: m, tx: tx}, v); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fail(err)
	}
	return nil
}

// holdLive keeps the live generation's updates waiting until the end of the
// transaction.
func (s *Store) holdLive(ctx context.Context, tx *transaction, p *projection.Projection) (*model, error) {
	for {
		live, err := liveOf(ctx, tx, p.Name)
		if err != nil {
			return nil, err
		}
		if live == 0 {
			return nil, readmodel.ErrNotPrepared
		}
		m, err := s.model(p, live)
		if err != nil {
			return nil, err
		}
		if err := s.holdOne(ctx, tx, m); err != nil {
			return nil, err
		}
		now, err := liveOf(ctx, tx, p.Name)
		if err != nil {
			return nil, err
		}
		if now == live { // no swap came before the hold
			return m, nil
		}
	}
}

func (s *Store) holdOne(ctx context.Context, tx *transaction, m *model) error {
	hold := s.dialect.hold(m)
	if hold == "" {
		return nil
	}
	_, err := tx.exec(ctx, hold)
	return err
}

// Holds implements [readmodel.Tx].
func (b *batch) Holds(ctx context.Context) (n int64, err error) {
	rows, err := b.tx.query(ctx, b.model.holds)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&n); err != nil {
			return 0, err
		}
	}
	return n, rows.Err()
}

// Holds implements [readmodel.View].
func (v *view) Holds(ctx context.Context) (int64, error) {
	b := batch{dialect: v.dialect, model: v.model, tx: v.tx}
	return b.Holds(ctx)
}

// PutCheckpoint implements [readmodel.Tx].
func (b *batch) PutCheckpoint(ctx context.Context, c readmodel.Checkpoint) error {
	if _, err := b.tx.exec(ctx, b.model.putCheckpoint, c.Partition, c.Next, c.Digest[:]); err != nil {
		return fmt.Errorf("write checkpoint of partition %d: %w", c.Partition, err)
	}
	return nil
}

// DeleteHeads implements [readmodel.Tx].
func (b *batch) DeleteHeads(ctx context.Context, streams []string) error {
	keys := make([]projection.Row, len(streams))
	for i, stream := range streams {
		keys[i] = projection.Row{stream}
	}
	return b.remove(ctx, b.model.heads, keys)
}
