package sqlstore

import (
	"context"
	"database/sql/driver"
	"fmt"
)

// dataVersion is a query for a number that changes with each commit of another
// connection.
const dataVersion = "PRAGMA data_version"

// recall forgets what updates have kept, if anything but an update of this
// connection may have written since. The transaction has SQLite's write lock.
func (t *transaction) recall(updates bool) error {
	return t.direct.Raw(func(conn any) error {
		w := conn.(*writerConn) //nolint:errcheck // the pool's own
		version, err := w.dataVersion()
		if err != nil {
			return err
		}
		if !updates || version != w.version {
			clear(w.kept)
		}
		w.version = version
		return nil
	})
}

func (w *writerConn) dataVersion() (int64, error) {
	stmt, err := w.statement(dataVersion)
	if err != nil {
		return 0, err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), nil) //nolint:errcheck // the driver's statements have the method
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }() // read to the end
	var values [1]driver.Value
	if err := rows.Next(values[:]); err != nil {
		return 0, err
	}
	version, ok := values[0].(int64)
	if !ok {
		return 0, fmt.Errorf("%s is %v", dataVersion, values[0])
	}
	return version, nil
}

// take returns what the last update of a generation has kept, nil for nothing.
// Whatever happens to this update, nobody gets the value again.
func (t *transaction) take(generation string) (kept any) {
	if t.direct == nil {
		return nil
	}
	delete(t.keeps, generation)
	_ = t.direct.Raw(func(conn any) error {
		w := conn.(*writerConn) //nolint:errcheck // the pool's own
		kept = w.kept[generation]
		delete(w.kept, generation)
		return nil
	})
	return kept
}

// keep keeps a value for a generation's next update, once the transaction is
// committed.
func (t *transaction) keep(generation string, value any) {
	if t.direct == nil || value == nil {
		return
	}
	if t.keeps == nil {
		t.keeps = map[string]any{}
	}
	t.keeps[generation] = value
}

// keepAll keeps the values of a committed transaction.
func (t *transaction) keepAll() {
	if len(t.keeps) == 0 {
		return
	}
	_ = t.direct.Raw(func(conn any) error { // without the connection there is nothing to keep
		w := conn.(*writerConn) //nolint:errcheck // the pool's own
		for generation, value := range t.keeps {
			w.kept[generation] = value
		}
		return nil
	})
}

// Kept implements [readmodel.Tx].
func (b *batch) Kept() any { return b.kept }

// Keep implements [readmodel.Tx].
func (b *batch) Keep(value any) { b.keep = value }
