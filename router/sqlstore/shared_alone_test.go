package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// A read model whose turn another process has waits alone.
func TestAModelThatIsHeldElsewhereHoldsUpNobody(t *testing.T) {
	open := postgresDatabase(t) // SQLite has one writer
	s, other := open(), open()
	held, healthy := named("held"), named("healthy")
	ready(t, s, held)
	ready(t, s, healthy)
	for range 2 { // held is first, then not
		updated := make(chan error, 1)
		next := checkpoints(t, s, healthy)[0].Next
		err := other.Hold(t.Context(), held, func(readmodel.Tx, readmodel.View) error {
			go func() {
				was := checkpoints(t, s, held)[0]
				updated <- s.Update(t.Context(), held, from(was, at(0, was.Next+1)), nil, func(readmodel.Tx) error { return nil })
			}()
			for range 10 {
				if err := s.Update(t.Context(), healthy, from(at(0, next), at(0, next+1)), nil, func(readmodel.Tx) error { return nil }); err != nil {
					return err
				}
				next++
			}
			select {
			case err := <-updated:
				t.Errorf("the held model is updated: %v", err)
				updated <- err
			case <-time.After(50 * time.Millisecond):
			}
			return nil
		})
		if err := errors.Join(err, <-updated); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASlowOrLargeUpdateIsAlone(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, p := open(), people()
		ready(t, s, p)
		err := s.Update(t.Context(), p, from(at(0, 0), at(0, 1)), nil, func(readmodel.Tx) error {
			time.Sleep(slowUpdate + time.Millisecond)
			return nil
		})
		if err != nil || !s.sharing.alone[p] {
			t.Errorf("after a slow update: %v", err)
		}
		for try := 0; s.sharing.alone[p]; try++ { // on a busy machine an update may be slow
			if try == 20 {
				t.Fatal("after quick updates")
			}
			put(t, s, p, "person", person("quick"))
		}
		if !s.sharing.wantsAlone(&work{projection: p, moves: from(at(1, 0), at(1, largeUpdate))}) {
			t.Error("a large update shares a transaction")
		}
	})
}

func TestAnUpdateLeavesTheQueueWithItsContext(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, p, other := open(), named("p"), named("other")
		ready(t, s, p)
		ready(t, s, other)
		ctx, cancel := context.WithCancel(t.Context())
		failed := together(t, s,
			func() error { return step(t, s, other, func(readmodel.Tx) error { cancel(); return nil }) },
			func() error {
				return s.Update(ctx, p, from(at(0, 0), at(0, 1)), nil, func(readmodel.Tx) error { return nil })
			})
		if failed[0] != nil || !errors.Is(failed[1], context.Canceled) {
			t.Error(failed)
		}
		stepped(t, s, p, false)
		stepped(t, s, other, true)
	})
}

// A function that ends its goroutine, as a failed test does, ends nothing else.
func TestAFunctionThatExits(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, p, q := open(), named("p"), named("q")
		ready(t, s, p)
		ready(t, s, q)
		err := step(t, s, p, func(readmodel.Tx) error { runtime.Goexit(); return nil })
		if !errors.Is(err, errExited) {
			t.Error(err)
		}
		if err := errors.Join(step(t, s, q, nil), step(t, s, p, nil)); err != nil {
			t.Error(err)
		}
		stepped(t, s, p, true)
		stepped(t, s, q, true)
	})
}

// Each read model is at its checkpoint, whatever fails beside it. One read model
// is rebuilt meanwhile.
func TestManyModelsAndFaults(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		stores := []*Store{open(), open()}
		const models, rounds = 4, 60
		var running sync.WaitGroup
		for i := range models {
			p, luck := named(fmt.Sprintf("m%d", i)), rand.New(rand.NewPCG(1, uint64(i)))
			ready(t, stores[0], p)
			running.Go(func() {
				for done := 0; done < rounds; {
					s := stores[luck.IntN(2)]
					now := checkpoints(t, s, p)[0]
					to := at(0, now.Next+1)
					to.Generation = now.Generation
					fate := luck.IntN(6)
					ctx, cancel := context.WithCancel(t.Context())
					err := s.Update(ctx, p, from(now, to), nil, func(tx readmodel.Tx) error {
						id := fmt.Sprintf("%03d", now.Next)
						if err := tx.Put(ctx, "person", []projection.Row{person(id)}); err != nil {
							return err
						}
						switch fate {
						case 0:
							return errors.New("fate")
						case 1:
							return exec(tx, "SELECT nonsense")
						case 2:
							cancel()
						}
						return nil
					})
					cancel()
					if (err == nil) != (fate > 2) && !errors.Is(err, readmodel.ErrCheckpointMoved) {
						t.Errorf("%s, fate %d: %v", p.Name, fate, err)
						return
					}
					if err == nil {
						done++
					}
				}
			})
			if i > 0 {
				continue
			}
			running.Go(func() { // a rebuild of the first
				for range 3 {
					err := rebuildOnce(t, stores[1], p)
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
		for i := range models {
			p := named(fmt.Sprintf("m%d", i))
			var want []string
			for n := range checkpoints(t, stores[0], p)[0].Next {
				want = append(want, fmt.Sprintf("%03d", n))
			}
			if diff := cmp.Diff(want, ids(t, stores[0], p)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", p.Name, diff)
			}
			if len(want) < rounds {
				t.Errorf("%s is at %d", p.Name, len(want))
			}
		}
	})
}

// rebuildOnce makes a new generation live, with the rows of the live one.
func rebuildOnce(t *testing.T, s *Store, p *projection.Projection) error {
	number, err := s.Begin(t.Context(), p, 4)
	if err != nil {
		return err
	}
	if err := s.Finish(t.Context(), p, number); err != nil {
		return err
	}
	return s.Swap(t.Context(), p, number, func(live []readmodel.Checkpoint, fill readmodel.Fill) error {
		before := readmodel.Checkpoint{Generation: number}
		to := live[0]
		to.Generation = number
		if to.Next == 0 {
			return nil
		}
		return fill(from(before, to), func(tx readmodel.Tx) error {
			var rows []projection.Row
			for n := range to.Next {
				rows = append(rows, person(fmt.Sprintf("%03d", n)))
			}
			slices.Reverse(rows)
			return tx.Put(t.Context(), "person", rows)
		})
	})
}

// A function that forgets the error of a statement commits nothing, and a
// statement that hangs ends with the context of its update. The other read model
// goes on.
func TestForgottenErrorsAndHangingStatements(t *testing.T) {
	for name, fault := range map[string]struct {
		fn   func(ctx context.Context, tx *transaction, cancel func())
		want func(error) bool
	}{
		"forgotten": {
			func(ctx context.Context, tx *transaction, _ func()) { _, _ = tx.exec(ctx, "SELECT nonsense") },
			func(err error) bool { return err != nil && strings.Contains(err.Error(), "nonsense") },
		},
		"hanging": {
			func(ctx context.Context, tx *transaction, cancel func()) {
				time.AfterFunc(10*time.Millisecond, cancel)
				_, _ = tx.exec(ctx, "SELECT pg_sleep(60)")
			},
			func(err error) bool { return errors.Is(err, context.Canceled) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := counted(t, "")
			for i, alone := range []bool{true, false} {
				bad, good := ready(t, s, named(fmt.Sprint("bad", i))), ready(t, s, named(fmt.Sprint("good", i)))
				s.sharing.note(bad, alone)
				ctx, cancel := context.WithCancel(t.Context())
				updates := []func() error{
					func() error { return stepAhead(t, s, good, 0) },
					func() error {
						return s.Update(ctx, bad, from(at(0, 0), at(0, 1)), personAhead(bad), func(tx readmodel.Tx) error {
							err := tx.Put(t.Context(), "person", []projection.Row{person("half")})
							fault.fn(ctx, tx.(*batch).tx, cancel) //nolint:errcheck // this store's own
							return err
						})
					},
				}
				var failed []error
				if alone {
					failed = []error{updates[0](), updates[1]()}
				} else {
					failed = lost(t, s, updates...)
				}
				cancel()
				if failed[0] != nil || !fault.want(failed[1]) {
					t.Errorf("alone %t: %v", alone, failed)
				}
				if at, rows := checkpoints(t, s, bad)[0].Next, ids(t, s, bad); at != 0 || rows != nil {
					t.Errorf("alone %t: at %d with %v", alone, at, rows)
				}
			}
		})
	}
}
