package eventlog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Everybody who waits for an offset goes on once the offset is reached, and no
// earlier.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Progress
		began := time.Now()
		for second := range 5 {
			time.AfterFunc(time.Duration(second)*time.Second, func() { p.Set(int64(second)) })
		}
		took := make(chan time.Duration)
		for _, next := range []int64{2, 3, 3} {
			go func() {
				p.Await(t.Context(), next)
				took <- time.Since(began)
			}()
		}
		for _, want := range []time.Duration{2 * time.Second, 3 * time.Second, 3 * time.Second} {
			if got := <-took; got != want {
				t.Errorf("a wait took %v, want %v", got, want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if p.Await(ctx, 5) || p.Next() != 4 {
			t.Errorf("offset 5 counts as reached at %d", p.Next())
		}
		if !p.Await(ctx, 4) {
			t.Error("an offset that is reached waits for nothing, whatever the context says")
		}
	})
}
