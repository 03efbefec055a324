package protocol

import (
	"testing"
	"time"
)

var names = []string{"gate", "gateSeq", "gatePrev", "gateVersion", "stacking", "purity", "tellReadBack", "markReadBack", "ownRecord", "redecide", "redecideAll", "retry", "retryStacked", "retryBehind", "position", "positionTopic", "positionEachTopic", "foldFirst", "queueWhileHeld", "repetitions", "headersOutcome", "ownSession"}

func TestMutants(t *testing.T) {
	for i, name := range names {
		for _, s := range scenarios {
			begin := time.Now()
			r := search(s, 1<<i, 400_000)
			t.Logf("%-18s %-25s states %8d quiet %6d %v %d %s short=%v", name, s.name, r.states, r.quiet, time.Since(begin).Round(time.Millisecond), len(r.actions), r.broken, r.short)
		}
	}
}
