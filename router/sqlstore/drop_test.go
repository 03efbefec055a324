package sqlstore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/router/readmodel"
)

// A drop deletes the heads of its generation only, many at once, and before the
// database has statistics.
func TestDropOfManyHeads(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		const streams = 5*dropAtOnce + 1
		p, ctx := people(), t.Context()
		store := prepared(t, open(), p)
		heads := map[string]readmodel.StreamHead{}
		for i := range streams {
			heads[fmt.Sprint("user/", i)] = readmodel.StreamHead{}
		}
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error { return tx.PutHeads(ctx, heads) })
		generation := begin(t, store, p, 1)
		err := store.Fill(ctx, p, from(of(generation, at(0, 1)), of(generation, at(0, 2))), func(tx readmodel.Tx) error {
			return tx.PutHeads(ctx, map[string]readmodel.StreamHead{"user/0": {}})
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Swap(ctx, p, generation, asItIs); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := store.Drop(ctx, p, 1); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("the drop took %v", took)
		}
		for generation, want := range []int{1: 0, 2: 1} {
			var got int
			if err := store.read.QueryRowContext(ctx, "SELECT count(*) FROM heads WHERE generation = $1", generation).Scan(&got); err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("generation %d has %d heads, want %d", generation, got, want)
			}
		}
	})
}
