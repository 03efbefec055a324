package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// named is a read model like people, with another name.
func named(name string) *projection.Projection {
	p := people()
	p.Name = name
	return p
}

// ready prepares a read model, and its statements: within a transaction,
// prepare would wait.
func ready(t *testing.T, s *Store, p *projection.Projection) *projection.Projection {
	t.Helper()
	prepared(t, s, p)
	m, err := s.model(p, 1)
	if err := errors.Join(err, s.write.prepare(t.Context(), m.updates)); err != nil {
		t.Fatal(err)
	}
	return p
}

// together runs updates of several read models in one transaction, in this
// order, and returns their errors. The first function waits until the others
// are in the queue.
func together(t *testing.T, s *Store, updates ...func() error) []error {
	t.Helper()
	// A transaction that waits for all: its own update changes nothing.
	gate, opened := ready(t, s, named("gate"+uuid.NewString()[:8])), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		err := s.Update(t.Context(), gate, from(checkpoints(t, s, gate)[0], at(0, 1)), nil, func(readmodel.Tx) error {
			close(opened)
			s.awaitQueue(len(updates))
			return nil
		})
		if err != nil {
			t.Error("the gate:", err)
		}
	})
	<-opened
	failed := make([]error, len(updates))
	for i, update := range updates {
		running.Go(func() { failed[i] = update() })
		if i < len(updates)-1 { // the gate waits for the last one
			s.awaitQueue(i + 1)
		}
	}
	running.Wait()
	return failed
}

// awaitQueue waits until n updates wait for the shared transaction.
func (s *Store) awaitQueue(n int) {
	for {
		s.sharing.mu.Lock()
		waiting := len(s.sharing.waiting)
		s.sharing.mu.Unlock()
		if waiting >= n {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// awaitLeader waits until a leader has taken the only update from the queue.
func (s *Store) awaitLeader() {
	for {
		s.sharing.mu.Lock()
		taken := s.sharing.leaders > 0 && len(s.sharing.waiting) == 0
		s.sharing.mu.Unlock()
		if taken {
			return
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// exec runs a statement in the transaction of an update.
func exec(tx readmodel.Tx, statement string) error {
	b := tx.(*batch) //nolint:errcheck // this store's own
	_, err := b.tx.exec(context.Background(), statement)
	return err
}

// step puts a person and moves partition 0 by one.
func step(t *testing.T, s *Store, p *projection.Projection, then func(readmodel.Tx) error) error {
	return s.Update(t.Context(), p, from(at(0, 0), at(0, 1)), nil, func(tx readmodel.Tx) error {
		err := errors.Join(
			tx.Put(t.Context(), "person", []projection.Row{person(p.Name)}),
			tx.PutHeads(t.Context(), map[string]readmodel.StreamHead{p.Name: {}}))
		if err != nil || then == nil {
			return err
		}
		return then(tx)
	})
}

// stepped checks that all of a step is there, or nothing.
func stepped(t *testing.T, s *Store, p *projection.Projection, want bool) {
	t.Helper()
	var rows []string
	var next int64
	if want {
		rows, next = []string{p.Name}, 1
	}
	if diff := cmp.Diff(rows, ids(t, s, p)); diff != "" {
		t.Errorf("%s: rows (-want +got):\n%s", p.Name, diff)
	}
	if got := checkpoints(t, s, p)[0].Next; got != next {
		t.Errorf("%s: the checkpoint is at %d, and not at %d", p.Name, got, next)
	}
	heads := 0
	err := s.View(t.Context(), p, func(v readmodel.View) error {
		return v.EachHead(t.Context(), nil, func(string, readmodel.StreamHead) error { heads++; return nil })
	})
	if err != nil || heads != int(next) {
		t.Errorf("%s: %d heads, %v", p.Name, heads, err)
	}
}

func TestUpdatesShareATransaction(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s := open()
		a, b := ready(t, s, named("a")), ready(t, s, named("b"))
		first := make(chan struct{})
		failed := together(t, s,
			func() error { defer close(first); return step(t, s, a, nil) },
			func() error {
				return step(t, s, b, func(readmodel.Tx) error {
					select {
					case <-first:
						t.Error("the first update is committed before the second")
					case <-time.After(20 * time.Millisecond):
					}
					return nil
				})
			})
		if err := errors.Join(failed...); err != nil {
			t.Fatal(err)
		}
		stepped(t, s, a, true)
		stepped(t, s, b, true)
	})
}

// An update that fails in a shared transaction takes no other along, wherever
// it stands.
func TestAFailingUpdateTakesNoOtherAlong(t *testing.T) {
	sentinel := errors.New("of fn")
	faults := map[string]struct {
		then func(readmodel.Tx) error
		want func(error) bool
	}{
		"an error": {
			func(readmodel.Tx) error { return sentinel },
			func(err error) bool { return err == sentinel }, //nolint:errorlint // unchanged
		},
		"a panic": {
			func(readmodel.Tx) error { panic("of fn") },
			func(err error) bool { return err != nil && err.Error() == "recovered of fn" },
		},
		"a failing statement": {
			func(tx readmodel.Tx) error { return exec(tx, "INSERT INTO nowhere VALUES (1)") },
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "nowhere") },
		},
		"a head that is there": {
			func(tx readmodel.Tx) error {
				heads := map[string]readmodel.StreamHead{"new": {}}
				return errors.Join(tx.InsertHeads(context.Background(), heads), tx.InsertHeads(context.Background(), heads))
			},
			func(err error) bool { return errors.Is(err, readmodel.ErrHeadExists) },
		},
		"a constraint": {
			func(tx readmodel.Tx) error {
				return exec(tx, "INSERT INTO checkpoints (projection, generation, partition, next_offset, digest, live) SELECT projection, generation, partition, next_offset, digest, live FROM checkpoints")
			},
			func(err error) bool {
				return err != nil && strings.Contains(strings.ToLower(err.Error()), "unique") && !errors.Is(err, readmodel.ErrHeadExists)
			},
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, open opener) {
				s := open()
				for bad := range 3 {
					var models []*projection.Projection
					var updates []func() error
					for i := range 3 {
						p := named(fmt.Sprintf("m%dof%d", bad, i))
						ready(t, s, p)
						models = append(models, p)
						updates = append(updates, func() (err error) {
							if i != bad {
								return step(t, s, p, nil)
							}
							defer func() {
								if value := recover(); value != nil {
									err = fmt.Errorf("recovered %v", value)
								}
							}()
							return step(t, s, p, fault.then)
						})
					}
					failed := together(t, s, updates...)
					for i, err := range failed {
						if i == bad && !fault.want(err) || i != bad && err != nil {
							t.Errorf("%d fails; error of %d: %v", bad, i, err)
						}
						stepped(t, s, models[i], i != bad)
					}
					if !s.sharing.alone[models[bad]] {
						t.Error("the next try would share a transaction")
					}
					if err := step(t, s, models[bad], nil); err != nil {
						t.Errorf("the next try: %v", err)
					}
					stepped(t, s, models[bad], true)
				}
			})
		})
	}
}

// A zombie's update, and an update of another binary's definition, drop out of a
// shared transaction alone.
func TestAnUpdateThatMayNotDropsOutAlone(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s := open()
		zombie, newer, healthy := named("zombie"), named("newer"), named("healthy")
		for _, p := range []*projection.Projection{zombie, newer, healthy} {
			ready(t, s, p)
		}
		put(t, s, zombie, "person", person("of the owner"))
		other := named("newer")
		other.Version = 7
		warm, err := s.model(other, 1)
		if err := errors.Join(err, s.write.prepare(t.Context(), warm.updates)); err != nil {
			t.Fatal(err)
		}
		failed := together(t, s,
			func() error { return step(t, s, zombie, nil) },
			func() error { return step(t, s, other, nil) },
			func() error { return step(t, s, healthy, nil) })
		if !errors.Is(failed[0], readmodel.ErrCheckpointMoved) || !errors.Is(failed[1], readmodel.ErrOtherDefinition) || failed[2] != nil {
			t.Error(failed)
		}
		stepped(t, s, healthy, true)
		stepped(t, s, newer, false)
	})
}

// If the transaction is lost with the commit, all its updates fail, and each is
// tried again alone.
func TestALostTransactionIsLostForAll(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s := open()
		lose := func(tx readmodel.Tx) error { return errors.Join(exec(tx, "ROLLBACK"), errors.New("lost")) }
		if s.write.pipelines {
			lose = func(tx readmodel.Tx) error {
				var pid int
				of := tx.(*batch).tx //nolint:errcheck // this store's own
				err := of.QueryRowContext(t.Context(), "SELECT pg_backend_pid()").Scan(&pid)
				_, killed := s.read.ExecContext(t.Context(), "SELECT pg_terminate_backend($1, 5000)", pid)
				return errors.Join(err, killed)
			}
		}
		models := []*projection.Projection{named("a"), named("b"), named("c")}
		var updates []func() error
		for i, p := range models {
			ready(t, s, p)
			updates = append(updates, func() error {
				return step(t, s, p, func(tx readmodel.Tx) error {
					if i == 1 {
						return lose(tx)
					}
					return nil
				})
			})
		}
		failed := lost(t, s, updates[:2]...)
		for i, err := range failed {
			if err == nil {
				t.Errorf("%d is committed", i)
			}
			stepped(t, s, models[i], false)
			if !s.sharing.alone[models[i]] {
				t.Errorf("%d would share its next transaction", i)
			}
			if err := step(t, s, models[i], nil); err != nil {
				t.Error(err)
			}
			stepped(t, s, models[i], true)
		}
	})
}

// lost is together for a transaction that fails.
func lost(t *testing.T, s *Store, updates ...func() error) []error {
	t.Helper()
	failed := make([]error, len(updates))
	var running sync.WaitGroup
	tx, err := s.write.begin(t.Context(), s.dialect.writes()) // the leader waits for the connection
	if err != nil {
		t.Fatal(err)
	}
	s.write.SetMaxOpenConns(1)
	for i, update := range updates {
		running.Go(func() { failed[i] = update() })
		if i == 0 {
			s.awaitLeader()
		}
		s.awaitQueue(i) // the first one is with the leader, and not in the queue
	}
	tx.rollback()
	running.Wait()
	return failed
}
