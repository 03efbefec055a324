package protocol

import (
	"testing"
	"time"
)

func TestExplore(t *testing.T) {
	for _, s := range scenarios {
		begin := time.Now()
		r := search(s, 0, 3_000_000)
		t.Logf("%-25s states %8d quiet %6d %v %s short=%v kinds=%v done=%v", s.name, r.states, r.quiet, time.Since(begin).Round(time.Millisecond), r.broken, r.short, r.kinds, r.done)
		if r.broken != "" {
			tell(s, 0, r.actions, func(text string) { t.Log("   ", text) })
		}
	}
}
