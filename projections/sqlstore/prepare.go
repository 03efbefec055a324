package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
)

// migrations make the bookkeeping's tables. One that was released is never
// changed: further ones follow it.
//
//go:embed migrations
var migrations embed.FS

// migrationsTable says which migrations are done.
const migrationsTable = "migrations"

// Prepare is [projections.Store.Prepare]. It is an error if a table is there
// with other columns than its definition has.
func (s *Store) Prepare(ctx context.Context, p *projections.Projection, partitions int32) (err error) {
	m, err := s.model(p)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("prepare read model %s: %w", p.Name, err)
		}
	}()
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
		return fmt.Errorf("migrate: %w", err)
	}
	return s.create(ctx, m, partitions)
}

func (s *Store) migrate(ctx context.Context) error {
	name, folder := s.dialect.migrations()
	files, err := fs.Sub(migrations, folder)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(name, s.write.DB, files,
		goose.WithTableName(migrationsTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// create makes what isn't there of a read model, all or nothing.
func (s *Store) create(ctx context.Context, m *model, partitions int32) error {
	tx, err := s.write.BeginTx(ctx, s.dialect.writes())
	if err != nil {
		return err
	}
	defer tx.Rollback() // of what isn't committed
	for _, t := range m.tables {
		if err := s.createTable(ctx, tx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	for partition := range partitions {
		if _, err := tx.ExecContext(ctx, m.begin, partition, make([]byte, len(messaging.Digest{}))); err != nil {
			return fmt.Errorf("checkpoint of partition %d: %w", partition, err)
		}
	}
	return tx.Commit()
}

func (s *Store) createTable(ctx context.Context, tx *sql.Tx, t *table) error {
	is, err := s.definition(ctx, tx, t)
	if err != nil {
		return err
	}
	switch want := t.definition(s.dialect); is {
	case want:
	case "":
		if _, err := tx.ExecContext(ctx, s.dialect.create(t)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("its columns are (%s), and should be (%s): the read model must be rebuilt", is, want)
	}
	for _, index := range t.indexes {
		if _, err := tx.ExecContext(ctx, t.createIndex(index)); err != nil {
			return err
		}
	}
	return nil
}

// definition lists the columns of the table that is there, as
// [table.definition] does: none if there is no table.
func (s *Store) definition(ctx context.Context, tx *sql.Tx, t *table) (string, error) {
	rows, err := tx.QueryContext(ctx, s.dialect.columns(), t.name)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var columns []string
	for rows.Next() {
		var name, typeName string
		var key bool
		if err := rows.Scan(&name, &typeName, &key); err != nil {
			return "", err
		}
		columns = append(columns, describe(name, typeName, key))
	}
	return join(columns), rows.Err()
}
