package service

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// restEvery is the time between two looks at a process's memory.
	restEvery = 15 * time.Second
	// restAllocates is the most that a resting process allocates between two
	// looks, in bytes: some scrapes of metrics and health checks.
	restAllocates = 16 << 20
	// restGarbage is the least memory that is worth giving back, in bytes.
	restGarbage = 16 << 20
)

// giveBack gives memory back to the operating system once a process rests after
// a load, until the context ends. Go itself collects garbage every two minutes
// then, and keeps most of the freed memory for a next load.
func giveBack(ctx context.Context) {
	var r rest
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.begun(readMemory()) {
			debug.FreeOSMemory()
		}
	}
}

// memory is a reading of a process's memory, in bytes.
type memory struct {
	allocated uint64 // since the start
	unused    uint64 // garbage, and free memory that Go keeps
}

func readMemory() memory {
	samples := []metrics.Sample{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"}, // garbage too
		{Name: "/gc/heap/live:bytes"},                // after the last collection
		{Name: "/memory/classes/heap/free:bytes"},
	}
	metrics.Read(samples)
	allocated, objects, live, free := samples[0].Value.Uint64(), samples[1].Value.Uint64(), samples[2].Value.Uint64(), samples[3].Value.Uint64()
	return memory{allocated, objects - min(live, objects) + free}
}

// rest finds the moments at which a process rests and has memory to give back.
type rest struct{ before uint64 }

func (r *rest) begun(m memory) bool {
	since := m.allocated - r.before
	r.before = m.allocated
	return since <= restAllocates && m.unused >= restGarbage
}
