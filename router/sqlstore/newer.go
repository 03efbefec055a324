package sqlstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/router/readmodel"
)

// bookkeeping has the columns that this binary needs in the bookkeeping tables.
// Tables of a newer binary with all these columns are no obstacle: old and new
// binaries run side by side during an upgrade.
var bookkeeping = []string{
	"SELECT projection, generation, partition, next_offset, digest, live FROM checkpoints",
	"SELECT projection, generation, stream, seq, version, digest, parked, parked_offset, command_topic, command_offset FROM heads",
	"SELECT projection, generation, state, since, definition, holds FROM generations",
}

// checkNewer returns an [readmodel.ErrNewerStore] if a newer binary has migrated
// the store, and tables or columns that this binary needs are gone. A store
// without tables is no error.
func (s *Store) checkNewer(ctx context.Context) error {
	known, err := s.migrations()
	if err != nil {
		return err
	}
	var applied int64
	err = s.read.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM "+migrationsTable).Scan(&applied)
	if err != nil || applied <= known {
		return ctx.Err() // without a table of migrations, there is no store yet
	}
	for _, query := range bookkeeping {
		if err := s.try(ctx, query+" WHERE false"); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%w (migration %d; this one knows %d): %w", readmodel.ErrNewerStore, applied, known, err)
		}
	}
	return ctx.Err()
}

// try runs a query, and forgets the rows.
func (s *Store) try(ctx context.Context, query string) error {
	rows, err := s.read.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Err()
}
