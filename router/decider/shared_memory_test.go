package decider

import (
	"fmt"
	"log/slog"
	"testing"
	"time"
)

// A partition may use the memory that the others leave, so a stream that is
// larger than a partition's part is not read for each command. The stream leaves
// memory when the others need their parts.
func TestPartitionsShareMemory(t *testing.T) {
	p, log := slowProcessor(t, 16)
	p.now = func() time.Time { return time.UnixMilli(0) }
	tp := new(topic)
	for i := range 130 {
		log.take(t, p, later(tp.command("createUser", "large", "Ann", fmt.Sprint("c", i)), time.Hour))
	}
	log.landAll(p)
	large := len(log.records)
	for i := range 80 {
		log.take(t, p, tp.command("createUser", fmt.Sprint("small", i), "Ann", "c"))
	}
	log.landAll(p)

	ss := NewStateStore(log, registry, 2, 16, slog.New(slog.DiscardHandler))
	ss.KeepOn(newMemDisk(), 100_000, nil)
	one, other := ss.processors[1], ss.processors[0]
	one.opened, other.opened = true, true
	noError(one.fold(inPartition(log.records[:large], 1)))
	written(t, ss)
	if one.size <= one.budget || one.streams["user/large"] == nil {
		t.Fatalf("the large stream left memory: %d bytes are in memory, and the part is %d", one.size, one.budget)
	}
	c, err := one.hold("user/large", "") // somebody needs the stream
	noError(err)
	one.mu.Unlock()
	noError(other.fold(inPartition(log.records[large:], 0)))
	written(t, ss)
	one.mu.Lock()
	one.letGo(c)
	if len(other.streams) != 80 || other.size > other.budget {
		t.Errorf("%d small streams of %d bytes are in memory", len(other.streams), other.size)
	}
	if len(one.streams) != 0 {
		t.Error("the large stream is still in memory")
	}
	if sum := int64(one.size + other.size); one.shared.used.Load() != sum || sum > 100_000 {
		t.Errorf("%d bytes are in memory, counted as %d", sum, one.shared.used.Load())
	}
}
