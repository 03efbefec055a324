package decider

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// betweenDisk calls a function before and after each deed: what other goroutines
// may do at that moment.
type betweenDisk struct {
	*memDisk
	between func()
}

func (d *betweenDisk) Get(key []byte) ([]byte, error) {
	d.between()
	value, err := d.memDisk.Get(key)
	d.between()
	return value, err
}

func (d *betweenDisk) Scan(from, to []byte, fn func(key, value []byte) error) error {
	d.between()
	err := d.memDisk.Scan(from, to, fn)
	d.between()
	return err
}

// Folds, look-ups, batches and evictions come between the reads of one another,
// and crashes between all of them. Nobody finds less than a whole stream, and the
// store stays the fold of the log.
func TestInterleavedReads(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			remember := []int{1, 16, 20, 40, 128}[seed%5]
			records := randomLog(t, seed, 600, remember)
			synctest.Test(t, func(t *testing.T) {
				i := &interleaved{t: t, luck: rand.New(rand.NewPCG(seed, 67)), records: records, remember: remember, memory: []int64{1, 5000, 1 << 30}[seed%3]}
				i.disk = &betweenDisk{memDisk: newMemDisk()}
				i.run()
			})
		})
	}
}

type interleaved struct {
	t        *testing.T
	records  []eventlog.Record
	remember int
	memory   int64
	disk     *betweenDisk
	ss       *StateStore
	others   sync.WaitGroup

	mu            sync.Mutex // for all below
	luck          *rand.Rand
	folds, writes bool
	depth         int
}

func (i *interleaved) intN(n int) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.luck.IntN(n)
}

func (i *interleaved) fold() {
	p := i.ss.processors[0]
	rest := i.records[p.folded.Next():]
	if err := p.fold(rest[:min(len(rest), 1+i.intN(20))]); err != nil {
		i.t.Error(err)
	}
}

func (i *interleaved) write() {
	if _, err := i.ss.writeBatch(context.Background()); err != nil {
		i.t.Error(err)
	}
}

func (i *interleaved) lookUp() {
	folded := int(i.ss.processors[0].folded.Next())
	r := i.records[max(0, min(len(i.records), folded+5)-1-i.intN(60))]
	if i.intN(3) == 0 {
		defer i.ss.Watch(r.Stream, r.CommandID).Close()
	}
	i.ss.Outcome(r.Stream, r.CommandID)
}

// act does something. There is one fold at a time, and one batch.
func (i *interleaved) act() {
	once := func(under *bool, do func()) func() {
		*under = true
		return func() {
			do()
			i.mu.Lock()
			defer i.mu.Unlock()
			*under = false
		}
	}
	i.mu.Lock()
	do := i.lookUp
	switch n := i.luck.IntN(8); {
	case n < 3 && !i.folds:
		do = once(&i.folds, i.fold)
	case n < 5 && !i.writes:
		do = once(&i.writes, i.write)
	}
	i.mu.Unlock()
	do()
}

// between lets something happen between two deeds of the disk: all of it, unless
// it waits for the stream that is being read.
func (i *interleaved) between() {
	i.mu.Lock()
	goes := i.depth < 4 && i.luck.IntN(3) == 0
	if goes {
		i.depth++
	}
	wait := time.Duration(1) << (20 - 4*i.depth) // whoever began first goes on last
	i.mu.Unlock()
	if !goes {
		return
	}
	i.others.Go(func() {
		i.act()
		i.mu.Lock()
		defer i.mu.Unlock()
		i.depth--
	})
	time.Sleep(wait)
}

func (i *interleaved) open() {
	i.others.Wait()
	i.disk.between = func() {}
	i.ss = diskOpened(i.t, registry, i.remember, i.disk, i.memory)
	i.disk.between = i.between
}

func (i *interleaved) run() {
	i.open()
	for i.ss.processors[0].folded.Next() < int64(len(i.records)) && !i.t.Failed() {
		i.act()
		select {
		case err := <-i.ss.broken:
			i.t.Fatalf("the disk is broken: %v", err)
		default:
		}
		switch i.intN(50) {
		case 0:
			_ = i.disk.Flush()
		case 1:
			i.others.Wait()
			i.disk.memDisk = i.disk.crashed(func(writes int) int { return i.luck.IntN(writes + 1) })
			i.open()
		}
	}
	i.others.Wait()
	i.disk.between = func() {}
	p := i.ss.processors[0]
	wantSame(i.t, p, folded(i.t, i.records, i.remember))
	i.write()
	wantNoRemains(i.t, p, i.disk.memDisk)
}
