package service

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestProgressText(t *testing.T) {
	for _, test := range []struct {
		done, all, records int64
		took               time.Duration
		want               string
	}{
		{0, 0, 0, 0, "0 of 0 records"},
		{0, 1000, 0, time.Second, "0 of 1000 records"},
		{3000, 12000, 2000, 2 * time.Second, "3000 of 12000 records, 1000/s, 9s left"},
		{12000, 12000, 12000, 12 * time.Second, "12000 of 12000 records, 1000/s, 0s left"},
		{1_000_000, 100_000_000, 1_000_000, 10 * time.Second, "1000000 of 100000000 records, 100000/s, 16m30s left"},
	} {
		if got := progressText("records", test.done, test.all, test.records, test.took); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// Without a terminal there is a line now and then, and no line for a short fold.
func TestProgressInLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var printed strings.Builder
		show := progress(t.Context(), &printed, nil)
		for second := range int64(12) {
			show(second*100, 1200)
			time.Sleep(time.Second)
		}
		show(1200, 1200)
		want := "500 of 1200 records, 100/s, 7s left\n1000 of 1200 records, 100/s, 2s left\n"
		if printed.String() != want {
			t.Errorf("printed %q, want %q", &printed, want)
		}
	})
}

// The rows of each read model are compared, and then are in the digest.
func TestComparedInLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var printed strings.Builder
		show := comparedShown(&printed)
		for range 2 { // read models
			for second := range int64(7) {
				show(second*1000, 0)
				time.Sleep(time.Second)
			}
			for second := range int64(7) {
				show(second*2000, 12000)
				time.Sleep(time.Second)
			}
		}
		want := `compared 5000 rows, 1000/s
6000 of 12000 rows in the digest, 2000/s, 3s left
compared 1000 rows, 1000/s
compared 6000 rows, 1000/s
8000 of 12000 rows in the digest, 2000/s, 2s left
`
		if printed.String() != want {
			t.Errorf("printed %q, want %q", &printed, want)
		}
	})
}

// All partitions' folds tell of themselves: the race detector looks on.
func TestProgressOfMany(t *testing.T) {
	show := progress(t.Context(), io.Discard, nil)
	var folds sync.WaitGroup
	for range 4 {
		folds.Go(func() {
			for done := range int64(1000) {
				show(done, 1000)
			}
		})
	}
	folds.Wait()
}

// A fold that doesn't move says so, and ends after a while. A fold that moves,
// or has nothing to do, doesn't.
func TestProgressStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var printed strings.Builder
		ctx, giveUp := context.WithCancelCause(t.Context())
		defer giveUp(nil)
		fold := watchStall(ctx, &printed, giveUp)
		time.Sleep(time.Hour) // not begun
		for second := range int64(600) {
			fold.move(second, 1000)
			time.Sleep(time.Second)
		}
		fold.move(1000, 1000)
		time.Sleep(time.Hour) // comparing
		if printed.String() != "" || ctx.Err() != nil {
			t.Errorf("printed %q, %v", &printed, context.Cause(ctx))
		}
		began := time.Now()
		fold.move(1000, 1001)
		<-ctx.Done()
		if took := time.Since(began); took < stallLimit || took > stallLimit+stallLine || !errors.Is(why(ctx, context.Canceled), errStalled) {
			t.Errorf("gave up after %s: %v", took, why(ctx, context.Canceled))
		}
		if n := strings.Count(printed.String(), "\n"); n != 11 || !strings.HasPrefix(printed.String(), "no progress for 10s at 1000 of 1001 records: is Kafka there?\n") {
			t.Errorf("printed %q", &printed)
		}
	})
}
