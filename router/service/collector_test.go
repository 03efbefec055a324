package service

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
)

// A process that rests after a load gives its memory back, once.
func TestMemoryIsGivenBack(t *testing.T) {
	var r rest
	r.begun(readMemory())
	load := make([][]byte, 256)
	for i := range load {
		load[i] = make([]byte, 1<<20)
		load[i][0] = 1
	}
	clear(load)
	runtime.GC() // a collection under way took the load for live
	if r.begun(readMemory()) {
		t.Error("a process under load rests")
	}
	before := released()
	if !r.begun(readMemory()) {
		t.Fatal("a process with garbage, and without a load, doesn't rest")
	}
	debug.FreeOSMemory()
	if got := released(); got < before+64<<20 {
		t.Errorf("released %d bytes, %d before", got, before)
	}
	if r.begun(readMemory()) {
		t.Error("a process that has given its memory back begins again")
	}
}

func released() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
