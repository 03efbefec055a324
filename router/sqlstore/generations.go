package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

var _ readmodel.Generations = (*Store)(nil)

// stateDropped is the state of a deleted generation. The row stays, so the
// number is never used again: processes cache facts about a generation.
const stateDropped readmodel.State = "dropped"

// dropAtOnce is the number of heads that a drop deletes in a transaction. The
// live generation's updates wait during the transaction.
const dropAtOnce = 5000

// Generations implements [readmodel.Generations].
func (s *Store) Generations(ctx context.Context, p *projection.Projection) ([]readmodel.Generation, error) {
	return s.generations(ctx, p, func(tx *transaction, g *readmodel.Generation) error { return s.describe(ctx, tx, p, g) })
}

// Building implements [readmodel.Generations].
func (s *Store) Building(ctx context.Context, p *projection.Projection) (building []readmodel.Checkpoint, err error) {
	_, err = s.generations(ctx, p, func(tx *transaction, g *readmodel.Generation) error {
		if g.State != readmodel.Building {
			return nil
		}
		m, err := s.model(p, g.Number)
		if err == nil {
			building, err = readCheckpoints(ctx, tx, m.checkpoints)
		}
		return err
	})
	return building, err
}

func (s *Store) generations(ctx context.Context, p *projection.Projection, describe func(*transaction, *readmodel.Generation) error) (all []readmodel.Generation, err error) {
	fail := func(err error) error { return fmt.Errorf("list generations of read model %s: %w", p.Name, err) }
	done, err := s.wait(ctx, 1)
	if err != nil {
		return nil, fail(err)
	}
	defer done()
	tx, err := s.read.begin(ctx, s.dialect.reads())
	if err != nil {
		return nil, fail(err)
	}
	defer tx.rollback() // nothing was written
	if all, err = s.list(ctx, tx, p); err != nil {
		if s.dialect.isMissing(err) {
			return nil, nil
		}
		return nil, fail(err)
	}
	for i := range all {
		if err := describe(tx, &all[i]); err != nil {
			return nil, fail(fmt.Errorf("generation %d: %w", all[i].Number, err))
		}
	}
	return all, nil
}

func (s *Store) list(ctx context.Context, tx *transaction, p *projection.Projection) ([]readmodel.Generation, error) {
	rows, err := tx.query(ctx, "SELECT generation, state, since, definition FROM generations WHERE projection = $1 AND state <> $2 ORDER BY generation",
		p.Name, string(stateDropped))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []readmodel.Generation
	for rows.Next() {
		var g readmodel.Generation
		var since int64
		if err := rows.Scan(&g.Number, &g.State, &since, &g.Definition); err != nil {
			return nil, err
		}
		if isOld(g.Definition) {
			return nil, readmodel.ErrOldStore
		}
		g.Since = time.UnixMilli(since).UTC()
		all = append(all, g)
	}
	return all, rows.Err()
}

// describe adds checkpoints and counts to a generation.
func (s *Store) describe(ctx context.Context, tx *transaction, p *projection.Projection, g *readmodel.Generation) (err error) {
	m, err := s.model(p, g.Number)
	if err != nil {
		return err
	}
	if g.Checkpoints, err = readCheckpoints(ctx, tx, m.checkpoints); err != nil {
		return err
	}
	count := func(query string) (n int64, err error) {
		err = tx.QueryRowContext(ctx, query).Scan(&n)
		return n, ended(ctx, err)
	}
	if g.Parked, err = count("SELECT count(*) FROM heads WHERE " + and(append(m.scope.conditions(), "parked <> ''"))); err != nil {
		return err
	}
	for _, table := range m.tablesOf(g.Definition) {
		n, err := count("SELECT count(*) FROM " + table)
		if err != nil {
			return err
		}
		g.Rows += n
	}
	return nil
}

// tablesOf returns the names, in the database, of a generation's tables.
func (m *model) tablesOf(definition string) (names []string) {
	for table := range columnsOf(definition) {
		names = append(names, m.name+"_"+table+"_"+fmt.Sprint(m.generation))
	}
	return names
}

// Fits implements [readmodel.Generations].
func (s *Store) Fits(ctx context.Context, p *projection.Projection) error {
	return s.View(ctx, p, func(any readmodel.View) error {
		v := any.(*view) //nolint:errcheck // this store's own view
		if err := v.model.check(ctx, v.tx); err != nil {
			return fmt.Errorf("read model %s: %w", p.Name, err)
		}
		return nil
	})
}

// Rebuilding implements [readmodel.Generations].
func (s *Store) Rebuilding(ctx context.Context, p *projection.Projection) (done func(), err error) {
	if _, there := s.rebuilding.LoadOrStore(p.Name, true); there {
		return nil, fmt.Errorf("read model %s: %w", p.Name, readmodel.ErrRebuilding)
	}
	unlock, err := s.dialect.tryLock(ctx, "rebuild-"+p.Name)
	if err == nil && unlock == nil {
		err = readmodel.ErrRebuilding
	}
	if err != nil {
		s.rebuilding.Delete(p.Name)
		return nil, fmt.Errorf("read model %s: %w", p.Name, err)
	}
	return func() {
		unlock()
		s.rebuilding.Delete(p.Name)
	}, nil
}

// Begin implements [readmodel.Generations].
func (s *Store) Begin(ctx context.Context, p *projection.Projection, partitions int32) (generation int, err error) {
	err = s.alone(ctx, func(tx *transaction) (err error) {
		generation, err = s.create(ctx, tx, p, readmodel.Building, partitions)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("begin a generation of read model %s: %w", p.Name, err)
	}
	return generation, nil
}

// Fill implements [readmodel.Generations]. On a SQLite file, Fill then pauses
// for other writers, such as the live generation's.
func (s *Store) Fill(ctx context.Context, p *projection.Projection, moves []readmodel.Move, fn func(readmodel.Tx) error) error {
	began := time.Now()
	w := work{ctx: ctx, projection: p, moves: moves, fn: fn}
	err := s.prepareWork(&w)
	if err == nil {
		err = s.update(&w, w.model.fill)
	}
	if err == nil && s.dialect.oneWriter() {
		s.filling.leave(ctx, s.write, time.Since(began))
	}
	return err
}

// ViewOf implements [readmodel.Generations].
func (s *Store) ViewOf(ctx context.Context, p *projection.Projection, generation int, fn func(readmodel.View) error) error {
	m, err := s.model(p, generation)
	if err != nil {
		return err
	}
	return s.view(ctx, p, &views{checkpoints: m.checkpoints}, fn)
}

// Finish implements [readmodel.Generations].
func (s *Store) Finish(ctx context.Context, p *projection.Projection, generation int) error {
	return s.change(ctx, p, generation, "finish", func(tx *transaction, m *model, state readmodel.State) error {
		if state != readmodel.Building {
			return nil
		}
		if err := s.index(ctx, tx, m); err != nil {
			return err
		}
		return m.setState(ctx, tx, readmodel.Ready)
	})
}

// Swap implements [readmodel.Generations].
func (s *Store) Swap(ctx context.Context, p *projection.Projection, generation int, catchUp func([]readmodel.Checkpoint, readmodel.Fill) error) error {
	return s.change(ctx, p, generation, "swap to", func(tx *transaction, m *model, state readmodel.State) error {
		if state == readmodel.Live {
			return errors.New("it is the live one")
		}
		if err := m.check(ctx, tx); err != nil {
			return err
		}
		if err := s.index(ctx, tx, m); err != nil { // missing if the generation was never finished
			return err
		}
		live, err := s.holdLive(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := s.holdOne(ctx, tx, m); err != nil {
			return err
		}
		at, err := readCheckpoints(ctx, tx, live.checkpoints)
		if err != nil {
			return err
		}
		if settings := s.dialect.settings(); settings != "" {
			if _, err := tx.exec(ctx, settings); err != nil {
				return err
			}
		}
		err = catchUp(at, func(moves []readmodel.Move, fn func(readmodel.Tx) error) error {
			if err := s.move(ctx, tx, m, moves, m.fill); err != nil {
				return err
			}
			return fn(&batch{dialect: s.dialect, model: m, tx: tx})
		})
		if err != nil {
			return err
		}
		reached, err := readCheckpoints(ctx, tx, m.checkpoints)
		if err != nil {
			return err
		}
		if err := covered(at, reached); err != nil {
			return err
		}
		if _, err := tx.exec(ctx, "UPDATE checkpoints SET live = (generation = $2) WHERE projection = $1", p.Name, generation); err != nil {
			return err
		}
		return errors.Join(live.setState(ctx, tx, readmodel.Old), m.setState(ctx, tx, readmodel.Live))
	})
}

// covered returns an error if a checkpoint is behind the live checkpoint: a
// reader would see an older state than before.
func covered(live, reached []readmodel.Checkpoint) error {
	if len(live) != len(reached) {
		return fmt.Errorf("%d partitions, and the live one has %d", len(reached), len(live))
	}
	for i, c := range live {
		switch {
		case reached[i].Next < c.Next:
			return fmt.Errorf("it is at offset %d of partition %d, and the live one at %d", reached[i].Next, c.Partition, c.Next)
		case reached[i].Next == c.Next && reached[i].Digest != c.Digest:
			return fmt.Errorf("partition %d: it was made of another log than the live one", c.Partition)
		}
	}
	return nil
}

// Drop implements [readmodel.Generations]. An interrupted Drop can be repeated.
func (s *Store) Drop(ctx context.Context, p *projection.Projection, generation int) error {
	var dropped *model
	err := s.change(ctx, p, generation, "drop", func(tx *transaction, m *model, state readmodel.State) error {
		if state == readmodel.Live {
			return errors.New("it is the live one")
		}
		dropped = m
		var definition string
		if err := tx.QueryRowContext(ctx, "SELECT definition FROM generations WHERE "+and(m.scope.conditions())).Scan(&definition); err != nil {
			return ended(ctx, err)
		}
		for _, table := range m.tablesOf(definition) {
			if _, err := tx.exec(ctx, "DROP TABLE IF EXISTS "+table); err != nil {
				return err
			}
		}
		if _, err := tx.exec(ctx, "DELETE FROM checkpoints WHERE "+and(m.scope.conditions())); err != nil {
			return err
		}
		return m.setState(ctx, tx, stateDropped)
	})
	for more := true; more && err == nil; {
		more, err = s.dropHeads(ctx, dropped)
	}
	return err
}

// dropHeads deletes some heads of a dropped generation, and says whether more
// may be left.
func (s *Store) dropHeads(ctx context.Context, m *model) (more bool, err error) {
	err = s.alone(ctx, func(tx *transaction) error {
		// The end of the range comes from the index. PostgreSQL, before it has
		// statistics, compares each head with each row of an IN (SELECT ... LIMIT).
		where := and(m.scope.conditions())
		var end string
		err := tx.QueryRowContext(ctx, fmt.Sprintf("SELECT stream FROM heads WHERE %s ORDER BY stream LIMIT 1 OFFSET %d", where, dropAtOnce)).Scan(&end)
		if more = err == nil; more {
			_, err = tx.exec(ctx, "DELETE FROM heads WHERE "+where+" AND stream < $1", end)
		} else if errors.Is(err, sql.ErrNoRows) {
			_, err = tx.exec(ctx, "DELETE FROM heads WHERE "+where)
		}
		return ended(ctx, err)
	})
	return more, err
}

// change changes a generation in one transaction.
func (s *Store) change(ctx context.Context, p *projection.Projection, generation int, what string, do func(*transaction, *model, readmodel.State) error) error {
	m, err := s.model(p, generation)
	if err != nil {
		return err
	}
	err = s.alone(ctx, func(tx *transaction) error {
		var state readmodel.State
		err := tx.QueryRowContext(ctx, "SELECT state FROM generations WHERE "+and(m.scope.conditions())).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return errors.New("there is no such generation")
		}
		if err != nil {
			return ended(ctx, err)
		}
		return do(tx, m, state)
	})
	if err != nil {
		return fmt.Errorf("%s generation %d of read model %s: %w", what, generation, p.Name, err)
	}
	return nil
}

func (m *model) setState(ctx context.Context, tx *transaction, state readmodel.State) error {
	_, err := tx.exec(ctx, "UPDATE generations SET state = $1, since = $2 WHERE "+and(m.scope.conditions()), string(state), time.Now().UnixMilli())
	return err
}
