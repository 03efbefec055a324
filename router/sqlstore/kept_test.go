package sqlstore

import (
	"context"
	"errors"
	"testing"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// keep updates a read model by one record, keeps a value, and returns what the
// update before has kept.
func keep(t *testing.T, s *Store, p *projection.Projection, value any) (kept any) {
	t.Helper()
	before := checkpoints(t, s, p)[0]
	to := at(0, before.Next+1)
	to.Generation = before.Generation
	err := s.Update(t.Context(), p, from(before, to), nil, func(tx readmodel.Tx) error {
		kept = tx.Kept()
		tx.Keep(value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

// An update gets what the update before has kept, if nobody else can have
// written between. Only SQLite knows.
func TestWhatAnUpdateKeeps(t *testing.T) {
	failed := errors.New("of fn")
	fails := func(tx readmodel.Tx) error { tx.Keep("never"); return failed }
	held := func(readmodel.Tx, readmodel.View) error { return nil }
	between := map[string]struct {
		do   func(t *testing.T, s, other *Store, p *projection.Projection)
		want any
	}{
		"nothing": {func(*testing.T, *Store, *Store, *projection.Projection) {}, "kept"},
		"a view": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			checkpoints(t, s, p)
		}, "kept"},
		"an update of another read model": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			keep(t, s, p, nil)
			another := ready(t, s, named("another")) // forgets
			keep(t, s, p, "kept")
			keep(t, s, another, "another's")
		}, "kept"},
		"an update that keeps nothing": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			keep(t, s, p, nil)
		}, nil},
		"an update that fails": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			if err := s.Update(t.Context(), p, from(at(1, 0), at(1, 1)), nil, fails); !errors.Is(err, failed) {
				t.Error(err)
			}
		}, nil},
		"an update that may not": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			if err := s.Update(t.Context(), p, from(at(1, 7), at(1, 8)), nil, fails); !errors.Is(err, readmodel.ErrCheckpointMoved) {
				t.Error(err)
			}
		}, nil},
		"a failed savepoint": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			first := ready(t, s, named("first"))
			errs := together(t, s,
				func() error {
					return step(t, s, first, func(tx readmodel.Tx) error { tx.Keep("the first's"); return nil })
				},
				func() error { return s.Update(t.Context(), p, from(at(1, 0), at(1, 1)), nil, fails) })
			if errs[0] != nil || !errors.Is(errs[1], failed) {
				t.Error(errs)
			}
			if kept := keep(t, s, first, nil); kept != "the first's" && s.write.direct != nil {
				t.Errorf("the other one has %v", kept)
			}
		}, nil},
		"a transaction that is lost": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			err := s.Update(t.Context(), p, from(at(1, 0), at(1, 1)), nil, func(tx readmodel.Tx) error {
				tx.Keep("never")
				return errors.Join(exec(tx, "ROLLBACK"), failed)
			})
			if !errors.Is(err, failed) {
				t.Error(err)
			}
		}, nil},
		"two updates of one transaction": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			errs := together(t, s,
				func() error {
					return s.Update(t.Context(), p, from(at(1, 0), at(1, 1)), nil, func(tx readmodel.Tx) error { tx.Keep("the first's"); return nil })
				},
				func() error {
					return s.Update(t.Context(), p, from(at(2, 0), at(2, 1)), nil, func(readmodel.Tx) error { return nil })
				})
			if err := errors.Join(errs...); err != nil {
				t.Error(err)
			}
		}, nil},
		"a hold": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			if err := s.Hold(t.Context(), p, held); err != nil {
				t.Error(err)
			}
		}, nil},
		"a hold of another process": {func(t *testing.T, _, other *Store, p *projection.Projection) {
			err := other.Hold(t.Context(), p, func(tx readmodel.Tx, _ readmodel.View) error {
				return tx.DeleteHeads(t.Context(), []string{"nobody"})
			})
			if err == nil {
				err = other.Hold(t.Context(), p, func(tx readmodel.Tx, _ readmodel.View) error {
					return tx.Put(t.Context(), "person", []projection.Row{person("mended")})
				})
			}
			if err != nil {
				t.Error(err)
			}
		}, nil},
		"an update of another process": {func(t *testing.T, _, other *Store, p *projection.Projection) {
			keep(t, other, p, nil)
		}, nil},
		"a transaction that is no update": {func(t *testing.T, s, _ *Store, _ *projection.Projection) {
			tx, err := s.write.begin(t.Context(), s.dialect.writes())
			if err != nil {
				t.Fatal(err)
			}
			_, err = tx.exec(t.Context(), savepoint) // as any prepared statement
			if err := errors.Join(err, tx.commit(t.Context())); err != nil {
				t.Error(err)
			}
		}, nil},
		"another generation": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			if err := rebuildOnce(t, s, p); err != nil {
				t.Error(err)
			}
		}, nil},
		"the generation again": {func(t *testing.T, s, _ *Store, p *projection.Projection) {
			err := errors.Join(rebuildOnce(t, s, p), s.Swap(t.Context(), p, 1, func([]readmodel.Checkpoint, readmodel.Fill) error { return nil }))
			if err != nil {
				t.Error(err)
			}
		}, nil},
		"another connection": {func(_ *testing.T, s, _ *Store, _ *projection.Projection) {
			s.write.SetMaxIdleConns(0)
			s.write.SetMaxIdleConns(1)
		}, nil},
		"a statement past updates": {func(t *testing.T, s, _ *Store, _ *projection.Projection) {
			if _, err := s.write.ExecContext(context.Background(), "UPDATE heads SET seq = 7"); err != nil {
				t.Error(err)
			}
		}, nil},
	}
	for name, test := range between {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, open opener) {
				s, other, p := open(), open(), named("p")
				ready(t, s, p)
				keep(t, s, p, "kept")
				test.do(t, s, other, p)
				want := test.want
				if s.write.direct == nil {
					want = nil
				}
				if kept := keep(t, s, p, nil); kept != want {
					t.Errorf("%v is kept, and not %v", kept, want)
				}
			})
		})
	}
}

// InsertHeads refuses a stream with a head, among many without.
func TestInsertHeads(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, p := open(), named("p")
		ready(t, s, p)
		heads := map[string]readmodel.StreamHead{}
		for _, stream := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
			heads[stream] = readmodel.StreamHead{ParkedOffset: 1}
		}
		update(t, s, p, func(ctx context.Context, tx readmodel.Tx) error {
			return tx.InsertHeads(ctx, map[string]readmodel.StreamHead{"c": {ParkedOffset: 2}, "other": {}})
		})
		before := checkpoints(t, s, p)[0]
		err := s.Update(t.Context(), p, from(before, at(0, before.Next+1)), nil, func(tx readmodel.Tx) error {
			return tx.InsertHeads(t.Context(), heads)
		})
		if !errors.Is(err, readmodel.ErrHeadExists) {
			t.Error(err)
		}
		delete(heads, "c")
		update(t, s, p, func(ctx context.Context, tx readmodel.Tx) error { return tx.InsertHeads(ctx, heads) })
		update(t, s, p, func(ctx context.Context, tx readmodel.Tx) error {
			found, err := tx.Heads(ctx, []string{"a", "c", "j"})
			if found["a"].ParkedOffset != 1 || found["c"].ParkedOffset != 2 || found["j"].ParkedOffset != 1 {
				t.Errorf("%+v", found)
			}
			return err
		})
	})
}
