package sqlstore

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrPooler is returned if a pooler between Millrace and PostgreSQL, such as
// PgBouncer with pool_mode transaction, loses prepared statements.
var ErrPooler = errors.New("a pooler between here and PostgreSQL keeps no prepared statements (PgBouncer, pool_mode=transaction): " +
	"add default_query_exec_mode=exec to the URL in store.postgres.url")

// pooled gives the errors of lost prepared statements the remedy. PostgreSQL
// reports a statement that is there already (42P05) or is not there (26000).
func pooled(err error) error {
	if err == nil {
		return nil
	}
	var failed *pgconn.PgError
	if errors.As(err, &failed) && (failed.Code == "42P05" || failed.Code == "26000") && !errors.Is(err, ErrPooler) {
		return fmt.Errorf("%w: %w", ErrPooler, err)
	}
	return err
}
