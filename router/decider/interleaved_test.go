package decider

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
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
			luck := rand.New(rand.NewPCG(seed, 67))
			remember := []int{1, 16, 20, 40, 128}[seed%5]
			records := randomLog(t, seed, 600, remember)
			memory := []int64{1, 5000, 1 << 30}[seed%3]
			disk := &betweenDisk{memDisk: newMemDisk()}
			var ss *StateStore
			var folds, writes, depth int
			fold := func() {
				p := ss.processors[0]
				rest := records[p.folded.Next():]
				folds++
				if err := p.fold(rest[:min(len(rest), 1+luck.IntN(20))]); err != nil {
					t.Fatal(err)
				}
				folds--
			}
			write := func() {
				writes++
				if _, err := ss.writeBatch(context.Background()); err != nil {
					t.Fatal(err)
				}
				writes--
			}
			lookUp := func() {
				folded := int(ss.processors[0].folded.Next())
				r := records[max(0, min(len(records), folded+5)-1-luck.IntN(60))]
				if luck.IntN(3) == 0 {
					defer ss.Watch(r.Stream, r.CommandID).Close()
				}
				ss.Outcome(r.Stream, r.CommandID)
			}
			act := func() {
				switch n := luck.IntN(8); {
				case n < 3 && folds == 0:
					fold()
				case n < 5 && writes == 0:
					write()
				default:
					lookUp()
				}
			}
			disk.between = func() {
				if depth < 4 && luck.IntN(3) == 0 {
					depth++
					act()
					depth--
				}
			}
			open := func() {
				between := disk.between
				disk.between = func() {}
				ss = diskOpened(t, registry, remember, disk, memory)
				disk.between = between
			}
			open()
			for ss.processors[0].folded.Next() < int64(len(records)) {
				act()
				select {
				case err := <-ss.broken:
					t.Fatalf("the disk is broken: %v", err)
				default:
				}
				switch luck.IntN(50) {
				case 0:
					_ = disk.Flush()
				case 1:
					disk.memDisk = disk.crashed(func(writes int) int { return luck.IntN(writes + 1) })
					open()
				}
			}
			disk.between = func() {}
			p := ss.processors[0]
			wantSame(t, p, folded(t, records, remember))
			write()
			wantNoRemains(t, p, disk.memDisk)
		})
	}
}
