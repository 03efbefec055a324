package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// migrations create the bookkeeping tables. A released migration never changes;
// new migrations follow.
//
//go:embed migrations
var migrations embed.FS

// migrationsTable lists the applied migrations.
const migrationsTable = "migrations"

// Prepare implements [readmodel.Store].
func (s *Store) Prepare(ctx context.Context, p *projection.Projection, partitions int32) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("prepare read model %s: %w", p.Name, err)
		}
	}()
	return s.alone(ctx, func(tx *transaction) error {
		live, err := liveOf(ctx, tx, p.Name)
		if err != nil {
			return err
		}
		if live == 0 {
			_, err := s.create(ctx, tx, p, readmodel.Live, partitions)
			return err
		}
		return s.check(ctx, tx, p, live, partitions)
	})
}

// alone runs a change of tables in one transaction, while no other process
// changes tables. The bookkeeping tables are migrated before.
func (s *Store) alone(ctx context.Context, do func(*transaction) error) error {
	done, err := s.wait(ctx, sqliteReaders)
	if err != nil {
		return err
	}
	defer done()
	unlock, err := s.dialect.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.migrate(ctx); err != nil {
		if errors.Is(err, readmodel.ErrNewerStore) {
			return err
		}
		return fmt.Errorf("migrate: %w", err)
	}
	tx, err := s.write.begin(ctx, s.dialect.writes())
	if err != nil {
		return err
	}
	defer tx.rollback() // undoes an uncommitted transaction
	if err := do(tx); err != nil {
		return err
	}
	return tx.commit(ctx)
}

func (s *Store) migrate(ctx context.Context) error {
	if err := s.checkNewer(ctx); err != nil {
		return err
	}
	provider, err := s.provider()
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return pooled(err)
}

func (s *Store) provider() (*goose.Provider, error) {
	name, folder := s.dialect.migrations()
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(name, s.write.DB, files,
		goose.WithTableName(migrationsTable), goose.WithDisableGlobalRegistry(true))
}

// migrations is the version of the newest migration that this binary knows.
func (s *Store) migrations() (newest int64, err error) {
	provider, err := s.provider()
	if err != nil {
		return 0, err
	}
	for _, source := range provider.ListSources() {
		newest = max(newest, source.Version)
	}
	return newest, nil
}

// liveOf returns a read model's live generation, 0 if there is none.
func liveOf(ctx context.Context, tx *transaction, name string) (live int, err error) {
	err = tx.QueryRowContext(ctx, "SELECT generation FROM generations WHERE projection = $1 AND state = $2", name, string(readmodel.Live)).Scan(&live)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return live, ended(ctx, err)
}

// create creates a read model's next generation, empty, and returns its number.
func (s *Store) create(ctx context.Context, tx *transaction, p *projection.Projection, state readmodel.State, partitions int32) (number int, err error) {
	err = tx.QueryRowContext(ctx, "SELECT coalesce(max(generation), 0) + 1 FROM generations WHERE projection = $1", p.Name).Scan(&number)
	if err != nil {
		return 0, ended(ctx, err)
	}
	m, err := s.model(p, number)
	if err != nil {
		return 0, err
	}
	_, err = tx.exec(ctx, "INSERT INTO generations (projection, generation, state, since, definition) VALUES ($1, $2, $3, $4, $5)",
		p.Name, number, string(state), time.Now().UnixMilli(), m.mine)
	if err != nil {
		return 0, err
	}
	for _, t := range m.tables {
		if _, err := tx.exec(ctx, s.dialect.create(t)); err != nil {
			return 0, fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	// A generation in state building gets its indexes once filled: a complete
	// index is built in order, for a fraction of the cost of many insertions.
	if state != readmodel.Building {
		if err := s.index(ctx, tx, m); err != nil {
			return 0, err
		}
	}
	return number, m.complete(ctx, tx, state == readmodel.Live, partitions)
}

// index creates missing indexes. Existing indexes are skipped, because CREATE
// INDEX locks out running updates even to find an existing index.
func (s *Store) index(ctx context.Context, tx *transaction, m *model) error {
	for _, t := range m.tables {
		for _, index := range t.indexes {
			var n int
			if err := tx.QueryRowContext(ctx, s.dialect.hasIndex(), t.indexName(index)).Scan(&n); err != nil {
				return ended(ctx, err)
			}
			if n > 0 {
				continue
			}
			if _, err := tx.exec(ctx, t.createIndex(index)); err != nil {
				return fmt.Errorf("index of %s: %w", t.name, err)
			}
		}
	}
	return nil
}

// complete adds missing checkpoints.
func (m *model) complete(ctx context.Context, tx *transaction, live bool, partitions int32) error {
	there, err := readCheckpoints(ctx, tx, m.checkpoints)
	if err != nil {
		return err
	}
	for partition := int32(len(there)); partition < partitions; partition++ {
		if _, err := tx.exec(ctx, m.begin, partition, make([]byte, len(eventlog.Digest{})), live); err != nil {
			return fmt.Errorf("checkpoint of partition %d: %w", partition, err)
		}
	}
	return nil
}

// check returns an error if the live generation has another definition than the
// projection.
func (s *Store) check(ctx context.Context, tx *transaction, p *projection.Projection, live int, partitions int32) error {
	m, err := s.model(p, live)
	if err != nil {
		return err
	}
	var kept string
	err = tx.QueryRowContext(ctx, "SELECT definition FROM generations WHERE "+and(m.scope.conditions())).Scan(&kept)
	if err != nil {
		return ended(ctx, err)
	}
	if isOld(kept) {
		return readmodel.ErrOldStore
	}
	if kept != m.mine {
		return fmt.Errorf("generation %d has (%s), and not (%s): %w", live, oneLine(kept), oneLine(m.mine), readmodel.ErrOtherDefinition)
	}
	// Checkpoints first, as in updates: the same order of locks.
	if err := m.complete(ctx, tx, true, partitions); err != nil {
		return err
	}
	return s.index(ctx, tx, m)
}

// oneLine is a definition for people.
func oneLine(definition string) string {
	return strings.ReplaceAll(strings.TrimPrefix(definition, streamNames+"\n"), "\n", "; ")
}

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
