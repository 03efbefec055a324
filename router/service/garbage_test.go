package service

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// The heap grows by a bounded number of bytes, and by half of a large heap.
func TestGarbageIsBounded(t *testing.T) {
	for live, wanted := range map[uint64]int{0: mostGarbage, 1 << 20: mostGarbage, 48 << 20: 200, 96 << 20: 100, 192 << 20: 50, 1 << 30: leastGarbage} {
		if got := garbagePercent(live); got != wanted {
			t.Errorf("with %d live bytes the garbage may be %d%%, wanted %d%%", live, got, wanted)
		}
	}
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	before := percentNow()
	stop := boundGarbage()
	kept := make([]byte, 512<<20) // never touched
	for deadline := time.Now().Add(10 * time.Second); percentNow() != leastGarbage; runtime.GC() {
		if time.Now().After(deadline) {
			t.Fatalf("with a large heap the garbage may be %d%%", percentNow())
		}
	}
	runtime.KeepAlive(kept)
	stop()
	if got := percentNow(); got != before {
		t.Errorf("afterwards the garbage may be %d%%, and %d%% before", got, before)
	}
	t.Setenv("GOGC", "100")
	boundGarbage()()
	if got := percentNow(); got != before {
		t.Errorf("with GOGC the garbage may be %d%%", got)
	}
}

// percentNow is the collector's setting.
func percentNow() int {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	return int(sample[0].Value.Uint64())
}
