package sqlstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/projections"
)

// Hold is [projections.Store.Hold].
func (s *Store) Hold(ctx context.Context, p *projections.Projection, fn func(projections.Tx, projections.View) error) error {
	m, err := s.model(p)
	if err != nil {
		return err
	}
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
	defer tx.Rollback() // of what isn't committed, also when fn panics
	if hold := s.dialect.hold(m); hold != "" {
		if _, err := tx.exec(ctx, hold); err != nil {
			return fail(err)
		}
	}
	if err := fn(&batch{dialect: s.dialect, model: m, tx: tx}, &view{dialect: s.dialect, model: m, tx: tx}); err != nil {
		return err
	}
	if err := tx.commit(ctx); err != nil {
		return fail(err)
	}
	return nil
}

// PutCheckpoint is [projections.Tx.PutCheckpoint].
func (b *batch) PutCheckpoint(ctx context.Context, c projections.Checkpoint) error {
	if _, err := b.tx.exec(ctx, b.model.putCheckpoint, c.Partition, c.Next, c.Digest[:]); err != nil {
		return fmt.Errorf("write checkpoint of partition %d: %w", c.Partition, err)
	}
	return nil
}

// DeleteHeads is [projections.Tx.DeleteHeads].
func (b *batch) DeleteHeads(ctx context.Context, streams []string) error {
	keys := make([]projections.Row, len(streams))
	for i, stream := range streams {
		keys[i] = projections.Row{stream}
	}
	return b.remove(ctx, b.model.heads, keys)
}
