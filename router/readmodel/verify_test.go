package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

func scratch(t *testing.T) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.OpenScratch(t.Context(), filepath.Join(t.TempDir(), "scratch.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func verify(t *testing.T, store readmodel.Store, log *partitionedLog, repair bool, models ...*projection.Projection) []*readmodel.Proof {
	t.Helper()
	v := &readmodel.Verifier{Live: store, Scratch: scratch(t), Log: log, Events: orders.Registry, Partitions: int32(len(log.partitions)), Max: 10}
	v.CompareAtOnce(50) // several views for a read model
	v.KnowAtOnce(20)    // many transactions for a shadow
	proofs, err := v.Verify(t.Context(), models, repair)
	if err != nil {
		t.Fatal(err)
	}
	return proofs
}

// differences returns the differences of a proof, in lines.
func differences(proof *readmodel.Proof) string {
	var b strings.Builder
	for _, d := range proof.Differences {
		fmt.Fprintln(&b, d)
	}
	return b.String()
}

// manyOrders returns a log with events, refusals and stale writers' records.
func manyOrders(luck *rand.Rand, records int) *partitionedLog {
	l, there := newLog(3), map[string]bool{}
	for i := range records {
		id := fmt.Sprint("u", luck.IntN(records/10))
		name := string(rune('a'+luck.IntN(26))) + fmt.Sprint(i)
		switch {
		case !there[id]:
			l.created(id, name)
			there[id] = true
		case luck.IntN(5) == 0:
			l.zombie(id)
		case luck.IntN(9) == 0:
			l.write(eventlog.TypeCommandRefused, order(id), "{}")
		default:
			l.renamed(id, name)
		}
	}
	return l
}

func TestVerifyProvesWhatIsRight(t *testing.T) {
	l := manyOrders(rand.New(rand.NewPCG(3, 4)), 1000)
	a, b := names(new(atomic.Bool)), letters(new(atomic.Bool))
	store, other := memory(t), scratch(t)
	for _, p := range []*projection.Projection{a, b} {
		l.catchUp(t, store, p)
		l.catchUp(t, other, p)
	}
	proofs, others := verify(t, store, l, false, a, b), verify(t, other, l, false, a, b)
	for i, proof := range proofs {
		if proof.Differ != 0 || proof.Records != 1000 || proof.Streams == 0 || proof.Rows < proof.Streams || proof.Ignored == 0 ||
			proof.Accepted+proof.Ignored != 1000 || proof.Deferred != 0 {
			t.Errorf("%+v", proof)
		}
		if proof.Digest != others[i].Digest || proof.Digest == (eventlog.Digest{}) {
			t.Errorf("in one store the digest is %s, and in another %s", proof.Digest, others[i].Digest)
		}
	}
	inOneView := &readmodel.Verifier{Live: store, Scratch: scratch(t), Log: l, Events: orders.Registry, Partitions: 3, Max: 10}
	if whole, err := inOneView.Verify(t.Context(), []*projection.Projection{a}, false); err != nil || whole[0].Digest != proofs[0].Digest || whole[0].Rows != proofs[0].Rows {
		t.Errorf("in one view: %+v, %v", whole, err)
	}
	l.renamed("u1", "zoe")
	l.catchUp(t, store, a)
	if verify(t, store, l, false, a)[0].Digest == proofs[0].Digest {
		t.Error("another row, and the digest is the same")
	}
}

// byHand changes a read model as a person with SQL would.
func byHand(t *testing.T, store readmodel.Store, p *projection.Projection, change func(context.Context, readmodel.Tx, readmodel.View) error) {
	t.Helper()
	err := store.Hold(t.Context(), p, func(tx readmodel.Tx, v readmodel.View) error { return change(t.Context(), tx, v) })
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyNamesWhatDiffersAndRepairMendsIt(t *testing.T) {
	for _, test := range []struct {
		name string
		hand func(context.Context, readmodel.Tx, readmodel.View) error
		want string // a part of the differences
		n    int64
	}{
		{"a value", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return tx.Put(ctx, "names", []projection.Row{{"bob", "Eve", int64(2)}})
		}, `names "bob": name is "Eve", and the log makes it "robert"`, 1},
		{"two values", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return tx.Put(ctx, "names", []projection.Row{{"bob", "Eve", int64(7)}})
		}, `names "bob": events is 7, and the log makes it 2`, 1},
		{"a shared row", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return tx.Put(ctx, "letters", []projection.Row{{"a", int64(2), false}})
		}, `letters "a": vowel is false, and the log makes it true`, 1},
		{"rows that are gone", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return tx.Delete(ctx, "names", []projection.Row{{"alice"}, {"zoe"}})
		}, `names "zoe": is missing`, 2},
		{"rows too many", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return tx.Put(ctx, "names", []projection.Row{{"aa", "a", int64(1)}, {"zz", "z", int64(1)}})
		}, `names "zz": is there, and the log doesn't make it`, 2},
		{"a head's digest", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			heads, err := tx.Heads(ctx, []string{order("bob")})
			head := heads[order("bob")]
			head.Digest[5]++
			return errors.Join(err, tx.PutHeads(ctx, map[string]readmodel.StreamHead{order("bob"): head}))
		}, `stream "order/bob": digest is `, 1},
		{"a head that is gone, and one too many", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return errors.Join(tx.DeleteHeads(ctx, []string{order("bob")}),
				tx.PutHeads(ctx, map[string]readmodel.StreamHead{order("eve"): {Head: eventlog.Head{Seq: 1}}}))
		}, `stream "order/bob": is missing`, 2},
		{"a stream parked by hand", func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			heads, err := tx.Heads(ctx, []string{order("bob")})
			head := heads[order("bob")]
			head.Parked, head.ParkedOffset = "why not", 77
			return errors.Join(err, tx.PutHeads(ctx, map[string]readmodel.StreamHead{order("bob"): head}))
		}, `stream "order/bob": parked is "why not", and the log makes it ""`, 1},
		{"a checkpoint's digest", func(ctx context.Context, tx readmodel.Tx, v readmodel.View) error {
			at, err := v.Checkpoints(ctx)
			at[1].Digest[0]++
			return errors.Join(err, tx.PutCheckpoint(ctx, at[1]))
		}, `partition 1: digest is `, 1},
		{"a checkpoint past the log's end", func(ctx context.Context, tx readmodel.Tx, v readmodel.View) error {
			at, err := v.Checkpoints(ctx)
			at[2].Next += 1000
			return errors.Join(err, tx.PutCheckpoint(ctx, at[2]))
		}, `partition 2: next_offset is `, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newLog(3)
			for _, id := range []string{"alice", "bob", "carol", "dave", "zoe"} {
				l.created(id, id)
			}
			l.renamed("bob", "robert")
			p, store := letters(new(atomic.Bool)), memory(t)
			l.catchUp(t, store, p)
			good := verify(t, store, l, false, p)[0]
			byHand(t, store, p, test.hand)

			proof := verify(t, store, l, false, p)[0]
			if proof.Differ != test.n || !strings.Contains(differences(proof), test.want) {
				t.Errorf("%d differ, want %d, and %s:\n%s", proof.Differ, test.n, test.want, differences(proof))
			}
			proof = verify(t, store, l, true, p)[0]
			if proof.Differ != 0 || proof.Mended != test.n || !strings.Contains(fmt.Sprint(proof.Repaired), test.want) {
				t.Errorf("repaired %d, want %d: %v\nleft:\n%s", proof.Mended, test.n, proof.Repaired, differences(proof))
			}
			if diff := cmp.Diff(good.Checkpoints, proof.Checkpoints); diff != "" || proof.Digest != good.Digest {
				t.Error(diff)
			}
			l.catchUp(t, store, p)
			l.renamed("bob", "rob")
			l.renamed("alice", "al")
			l.catchUp(t, store, p)
			if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 {
				t.Errorf("after more of the log:\n%s", differences(proof))
			}
		})
	}
}

// A checkpoint that was moved back has rows ahead of the checkpoint; a
// checkpoint that was moved on leaves out records. The checkpoint alone shows
// neither.
func TestVerifyFindsACheckpointThatWasMoved(t *testing.T) {
	for name, by := range map[string]int64{"back": -3, "on": 3} {
		t.Run(name, func(t *testing.T) {
			l := newLog(1)
			p, store := letters(new(atomic.Bool)), memory(t)
			create := func(n int) {
				for i := range n {
					l.created(fmt.Sprint(name, len(l.partitions[0].records), i), string(rune('a'+i)))
				}
			}
			create(10)
			l.catchUp(t, store, p)
			create(5)
			byHand(t, store, p, func(ctx context.Context, tx readmodel.Tx, v readmodel.View) error {
				at, err := v.Checkpoints(ctx)
				at[0].Next += by
				at[0].Digest = l.partitions[0].records[at[0].Next-1].Digest
				return errors.Join(err, tx.PutCheckpoint(ctx, at[0]))
			})
			proof := verify(t, store, l, false, p)[0]
			if proof.Differ != 9 { // 3 rows, 3 heads, 3 letters
				t.Errorf("%d differ:\n%s", proof.Differ, differences(proof))
			}
			if proof := verify(t, store, l, true, p)[0]; proof.Differ != 0 || proof.Mended != 9 {
				t.Errorf("mended %d, left:\n%s", proof.Mended, differences(proof))
			}
			l.catchUp(t, store, p)
			if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.Records != 15 {
				t.Errorf("%d records:\n%s", proof.Records, differences(proof))
			}
		})
	}
}

func TestVerifyNamesNoMoreThanAsked(t *testing.T) {
	l := manyOrders(rand.New(rand.NewPCG(5, 6)), 500)
	p, store := names(new(atomic.Bool)), memory(t)
	l.catchUp(t, store, p)
	rows := rows(t, store, p)
	byHand(t, store, p, func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
		var keys []projection.Row
		for id := range rows {
			keys = append(keys, projection.Row{id})
		}
		return tx.Delete(ctx, "names", keys)
	})
	proof := verify(t, store, l, true, p)[0]
	if proof.Differ != 0 || len(proof.Repaired) != 10 || proof.Mended != int64(len(rows)) {
		t.Errorf("mended %d of %d, and names %d", proof.Mended, len(rows), len(proof.Repaired))
	}
}

// The engine folds more records during the verification.
func TestVerifyBesideTheEngine(t *testing.T) {
	luck := rand.New(rand.NewPCG(7, 8))
	l := manyOrders(luck, 2000)
	p := letters(new(atomic.Bool))
	store := scratch(t)
	if err := store.Prepare(t.Context(), p, 3); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	e := &readmodel.Engine{Projection: p, Store: store, Log: l, Events: orders.Registry, Partitions: 3, BatchSize: 20, Logger: slog.New(slog.DiscardHandler)}
	for partition := range int32(3) {
		assignment := kafka.NewAssignment(t.Context(), partition, func(int64) {})
		start, err := e.Setup(assignment)
		if err != nil {
			t.Fatal(err)
		}
		working.Go(func() {
			_ = l.Follow(ctx, partition, start, func(records []eventlog.Record) error {
				for _, r := range records {
					e.Take(r)
				}
				return nil
			})
			e.Cleanup(assignment)
		})
	}
	working.Go(func() {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			l.renamed(fmt.Sprint("u", i%200), string(rune('a'+i%26)))
			<-pace.C
		}
	})
	for round := range 3 {
		proof := verify(t, store, l, true, p)[0]
		if proof.Differ != 0 || proof.Mended != 0 {
			t.Errorf("a false alarm: %v %s", proof.Repaired, differences(proof))
		}
		byHand(t, store, p, func(ctx context.Context, tx readmodel.Tx, _ readmodel.View) error {
			return tx.Delete(ctx, "names", []projection.Row{{fmt.Sprint("u", round)}})
		})
		proof = verify(t, store, l, true, p)[0]
		if proof.Differ != 0 || proof.Mended > 2 { // the row may be there again, with a wrong count of its letter
			t.Errorf("mended %d: %v, left:\n%s", proof.Mended, proof.Repaired, differences(proof))
		}
	}
	stop()
	working.Wait()
	if proof := verify(t, store, l, true, p)[0]; proof.Mended != 0 {
		t.Errorf("in the end: %v", proof.Repaired)
	}
}

// A read model that goes back during the verification is verified anew.
func TestVerifyBeginsAnew(t *testing.T) {
	for name, upset := range map[string]func(*testing.T, *partitionedLog, readmodel.Store, *projection.Projection){
		"a retry": func(t *testing.T, l *partitionedLog, store readmodel.Store, p *projection.Projection) {
			if now := retry(t, store, l, p, parked(t, store, l, p)); len(now) != 1 || now[0].Parked != "" {
				t.Errorf("%+v", now)
			}
		},
		"an older copy of the store": func(t *testing.T, l *partitionedLog, store readmodel.Store, p *projection.Projection) {
			byHand(t, store, p, func(ctx context.Context, tx readmodel.Tx, v readmodel.View) error {
				at, err := v.Checkpoints(ctx)
				at[0].Next, at[0].Digest = 2, l.partitions[0].records[1].Digest
				return errors.Join(err, tx.PutCheckpoint(ctx, at[0]), tx.DeleteHeads(ctx, []string{order("c"), order("d")}),
					tx.Delete(ctx, "names", []projection.Row{{"c"}, {"d"}}))
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			l, mended := newLog(1), new(atomic.Bool)
			p, store := names(mended), memory(t)
			l.created("a", "new")
			l.created("b", "broken")
			l.created("c", "new")
			l.created("d", "new")
			l.catchUp(t, store, p)
			mended.Store(true)
			var once sync.Once
			v := &readmodel.Verifier{
				Live: store, Scratch: scratch(t), Log: l, Events: orders.Registry, Partitions: 1, Max: 10,
				Progress: func(int64, int64) { once.Do(func() { upset(t, l, store, p) }) },
			}
			proofs, err := v.Verify(t.Context(), []*projection.Projection{p}, false)
			if err != nil {
				t.Fatal(err)
			}
			if proofs[0].Differ != 0 {
				t.Errorf("a false alarm:\n%s", differences(proofs[0]))
			}
		})
	}
}

// A record in another partition than its stream's is ignored, and may be a sign
// of another number of partitions: the log proves nothing then.
func TestVerifyProvesNoLogWithRecordsElsewhere(t *testing.T) {
	l := manyOrders(rand.New(rand.NewPCG(3, 4)), 100)
	r := l.write("orderPlaced", order("elsewhere"), `{"id":"elsewhere","name":"x"}`)
	written := &l.partitions[r.Partition].records[r.Offset]
	written.Malformed = fmt.Errorf("%w: of a test", eventlog.ErrElsewhere)
	p, store := names(new(atomic.Bool)), memory(t)
	l.catchUp(t, store, p)
	proof := verify(t, store, l, false, p)[0]
	if proof.Elsewhere != 1 || proof.Differ != 0 {
		t.Errorf("%+v", proof)
	}
}
