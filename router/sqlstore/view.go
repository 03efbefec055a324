package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// View implements [readmodel.Store]. Views and updates don't wait for each
// other, except in memory: there an update waits until fn returns.
func (s *Store) View(ctx context.Context, p *projection.Projection, fn func(readmodel.View) error) error {
	return s.view(ctx, p, s.liveView(p), fn)
}

// views is what is known of the views of a generation, or of the live one.
type views struct {
	checkpoints string // the query for the checkpoints
	// last is the generation of the last view that was whole: no stream was
	// parked.
	last atomic.Pointer[model]
}

// liveView is the views of the live generation.
func (s *Store) liveView(p *projection.Projection) *views {
	known, ok := s.live.Load(p)
	if !ok {
		known, _ = s.live.LoadOrStore(p, &views{checkpoints: checkpointsWhere(s.dialect, p.Name, "projection = '"+p.Name+"' AND live")})
	}
	return known.(*views) //nolint:errcheck // nothing else is in there
}

// ViewAhead implements [readmodel.Store]. In PostgreSQL, beginning, checkpoints,
// answers and end take one round trip, if the generation is that of the last view.
func (s *Store) ViewAhead(ctx context.Context, p *projection.Projection, want readmodel.Ahead, fn func(readmodel.View) error) error {
	of := s.liveView(p)
	if m := of.last.Load(); m != nil && s.read.pipelines {
		if done, err := s.glance(ctx, of, m, want, fn); done {
			return err
		}
	}
	return s.view(ctx, p, of, fn)
}

// glance is a view that is over before fn begins. done is false if there is no
// such view: fn needs more, or the generation is another one.
func (s *Store) glance(ctx context.Context, of *views, m *model, want readmodel.Ahead, fn func(readmodel.View) error) (done bool, err error) {
	tx, err := s.read.beginPipelined(ctx, beginPostgresView, postgresPlans)
	if err != nil {
		return true, fmt.Errorf("read model %s: %w", m.name, err)
	}
	defer tx.rollback() // gives the connection back, at least
	b := &batch{dialect: s.dialect, model: m, tx: tx}
	v := &view{dialect: s.dialect, model: m, tx: tx}
	statements := append([]statement{{text: of.checkpoints, read: v.readCheckpoints}}, b.ask(want)...)
	if err := tx.send(ctx, append(statements, statement{text: commitWrites})...); err != nil {
		return ctx.Err() != nil, err
	}
	v.ahead = b.ahead
	tx.rollback()
	if v.parked || len(v.checkpoints) == 0 || v.checkpoints[0].Generation != m.generation {
		return false, nil
	}
	err = fn(v)
	return !tx.pipe.asked, err
}

// view gives a view of the generation whose checkpoints a query returns. If the
// generation was dropped since the query, view tries once more: in PostgreSQL a
// running transaction sees at once that a table is gone.
func (s *Store) view(ctx context.Context, p *projection.Projection, of *views, fn func(readmodel.View) error) error {
	err := s.viewOnce(ctx, p, of, fn)
	if s.dialect.isMissing(err) {
		err = s.viewOnce(ctx, p, of, fn)
	}
	return err
}

func (s *Store) viewOnce(ctx context.Context, p *projection.Projection, of *views, fn func(readmodel.View) error) error {
	done, err := s.wait(ctx, 1)
	if err != nil {
		return fmt.Errorf("read model %s: %w", p.Name, err)
	}
	defer done()
	unprepared, err := s.look(ctx, p, of, fn)
	if err != nil {
		return err
	}
	_ = s.read.prepare(ctx, unprepared) // an unprepared statement works too
	return nil
}

func (s *Store) look(ctx context.Context, p *projection.Projection, of *views, fn func(readmodel.View) error) (unprepared []string, err error) {
	fail := func(err error) error { return fmt.Errorf("read model %s: %w", p.Name, err) }
	tx, err := s.read.beginView(ctx)
	if err != nil {
		return nil, fail(err)
	}
	defer tx.leave()
	v := &view{dialect: s.dialect, tx: tx}
	if v.checkpoints, v.parked, err = checkpointsAndParked(ctx, tx, of.checkpoints); err != nil {
		if s.dialect.isMissing(err) {
			err = readmodel.ErrNotPrepared
		}
		return nil, fail(err)
	}
	if len(v.checkpoints) == 0 {
		return nil, fail(readmodel.ErrNotPrepared)
	}
	if v.model, err = s.model(p, v.checkpoints[0].Generation); err != nil {
		return nil, err
	}
	if kept, err := v.model.definition(ctx, tx); err != nil {
		return nil, fail(err)
	} else if kept != v.model.mine && !covers(kept, v.model.mine) {
		return nil, fail(fmt.Errorf("generation %d: %w", v.model.generation, readmodel.ErrOtherDefinition))
	}
	if v.parked {
		of.last.Store(nil)
	} else {
		of.last.Store(v.model)
	}
	err = fn(v)
	return tx.unprepared, err
}

func readCheckpoints(ctx context.Context, tx *transaction, query string) ([]readmodel.Checkpoint, error) {
	all, _, err := checkpointsAndParked(ctx, tx, query)
	return all, err
}

// checkpointsAndParked reads checkpoints, and whether any stream is parked.
func checkpointsAndParked(ctx context.Context, tx *transaction, query string) (all []readmodel.Checkpoint, parked bool, err error) {
	if tx.pool.allowed(query) {
		return tx.checkpointsDirect(ctx, query)
	}
	var v view
	err = tx.each(ctx, query, nil, v.readCheckpoints)
	return v.checkpoints, v.parked, err
}

// readCheckpoints reads checkpoints, and whether any stream is parked.
func (v *view) readCheckpoints(rows scanner) (err error) {
	v.checkpoints, v.parked = make([]readmodel.Checkpoint, 0, usualPartitions), false
	for rows.Next() {
		var c readmodel.Checkpoint
		var digest []byte
		var some bool
		if err := rows.Scan(&c.Generation, &c.Partition, &c.Next, &digest, &some); err != nil {
			return err
		}
		if c.Digest, err = digestOf(digest); err != nil {
			return err
		}
		v.checkpoints, v.parked = append(v.checkpoints, c), v.parked || some
	}
	return rows.Err()
}

// checkpointsDirect is checkpointsAndParked of a prepared query.
func (t *transaction) checkpointsDirect(ctx context.Context, query string) (all []readmodel.Checkpoint, parked bool, err error) {
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	all = make([]readmodel.Checkpoint, 0, usualPartitions)
	err = t.raw(func(conn *directConn) error {
		return conn.each(query, nil, 5, func(values []driver.Value) (err error) {
			var numbers [5]int64
			for i, value := range values {
				numbers[i], _ = value.(int64)
			}
			digest, _ := values[3].([]byte)
			c := readmodel.Checkpoint{Generation: int(numbers[0]), Partition: int32(numbers[1]), Next: numbers[2]}
			if c.Digest, err = digestOf(digest); err == nil {
				all, parked = append(all, c), parked || numbers[4] != 0
			}
			return err
		})
	})
	return all, parked, ended(ctx, err)
}

// usualPartitions is room for checkpoints.
const usualPartitions = 12

// definition returns the generation's definition.
func (m *model) definition(ctx context.Context, tx *transaction) (string, error) {
	if kept := m.kept.Load(); kept != nil {
		return *kept, nil
	}
	rows, err := tx.query(ctx, "SELECT definition FROM generations WHERE "+and(m.scope.conditions()))
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var kept string
	for rows.Next() {
		if err := rows.Scan(&kept); err != nil {
			return "", err
		}
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	if isOld(kept) {
		return "", readmodel.ErrOldStore
	}
	m.kept.Store(&kept)
	return kept, nil
}

// check returns an error for another binary's generation.
func (m *model) check(ctx context.Context, tx *transaction) error {
	kept, err := m.definition(ctx, tx)
	if err == nil && kept != m.mine {
		err = fmt.Errorf("generation %d: %w", m.generation, readmodel.ErrOtherDefinition)
	}
	return err
}

// view implements [readmodel.View].
type view struct {
	dialect     dialect
	model       *model
	tx          *transaction
	checkpoints []readmodel.Checkpoint // at the start of the view
	parked      bool                   // whether any stream is parked
	ahead       ahead
}

var _ readmodel.View = (*view)(nil)

// Generation implements [readmodel.View].
func (v *view) Generation() int { return v.model.generation }

// Own implements [readmodel.View].
func (v *view) Own() bool {
	kept := v.model.kept.Load()
	return kept != nil && *kept == v.model.mine
}

// Checkpoints implements [readmodel.View].
func (v *view) Checkpoints(context.Context) ([]readmodel.Checkpoint, error) {
	return slices.Clone(v.checkpoints), nil
}

// Head implements [readmodel.View].
func (v *view) Head(ctx context.Context, stream string) (readmodel.StreamHead, error) {
	heads, err := v.Heads(ctx, []string{stream})
	return heads[stream], err
}

// Heads implements [readmodel.View].
func (v *view) Heads(ctx context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	b := batch{dialect: v.dialect, model: v.model, tx: v.tx, ahead: v.ahead}
	return b.Heads(ctx, streams)
}

// Parked implements [readmodel.View].
func (v *view) Parked(ctx context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	if !v.parked { // nearly always
		return nil, nil
	}
	b := batch{dialect: v.dialect, model: v.model, tx: v.tx}
	return b.headsBy(ctx, v.model.heads.getParked, streams)
}

// Rows implements [readmodel.View].
func (v *view) Rows(ctx context.Context, name string, keys []projection.Row) ([]projection.Row, error) {
	b := batch{dialect: v.dialect, model: v.model, tx: v.tx, ahead: v.ahead}
	return b.Rows(ctx, name, keys)
}

// Query implements [readmodel.View]. The arguments are texts, integers and
// booleans.
func (v *view) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	values := make([]any, len(args))
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		if text, ok := value.(string); ok && !isText(text) {
			return nil, fmt.Errorf("argument $%d: not UTF-8 without NUL", i+1)
		}
		values[i] = value
	}
	return v.tx.query(ctx, v.model.names.Replace(query), values...)
}
