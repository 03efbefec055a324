package decider

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// allIgnored are all notes of a partition.
func allIgnored(t *testing.T, p *processor) []int64 {
	t.Helper()
	offsets, err := p.ignoredBetween(0, p.folded.Next())
	if err != nil {
		t.Fatal(err)
	}
	return offsets
}

// withCopies is a log with copies of some records: a copy has the digest of the
// record that counts, and another offset.
func withCopies(records []eventlog.Record, luck *rand.Rand) (log []eventlog.Record, counts, events []int64) {
	heads := map[string]eventlog.Head{}
	add := func(r eventlog.Record) {
		r.Offset = int64(len(log))
		log = append(log, r)
		if head, ok := heads[r.Stream].Accept(&r); ok {
			heads[r.Stream] = head
			counts = append(counts, r.Offset)
			if eventlog.IsEvent(r.Type) {
				events = append(events, r.Offset)
			}
		}
	}
	for i := range records {
		add(records[i])
		if luck.IntN(5) == 0 {
			add(records[luck.IntN(i+1)])
		}
	}
	return log, counts, events
}

// A reader behind the fold gets exactly the records that count, whatever part of
// the notes is on disk, under way, or in memory, and after a crash.
func TestCountingIsTheGate(t *testing.T) {
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			luck := rand.New(rand.NewPCG(seed, 9))
			log, counts, events := withCopies(randomLog(t, seed, 200, 16), luck)
			disk := newMemDisk()
			ss := diskOpened(t, registry, 16, disk, 1)
			p := ss.processors[0]
			check := func() {
				t.Helper()
				end := luck.IntN(int(p.folded.Next()) + 1)
				from := luck.IntN(end + 1)
				got, err := ss.Counting(t.Context(), log[from:end])
				if err != nil {
					t.Fatal(err)
				}
				var offsets, want []int64
				for i := range got {
					offsets = append(offsets, got[i].Offset)
				}
				for _, offset := range counts {
					if offset >= int64(from) && offset < int64(end) {
						want = append(want, offset)
					}
				}
				last, folded := ss.LastEvent(0, "user")
				before, _ := slices.BinarySearch(events, folded)
				if wantLast := append([]int64{-1}, events[:before]...)[before]; last != wantLast || folded != p.folded.Next() {
					t.Fatalf("the last event up to %d is at %d, want %d up to %d", folded, last, wantLast, p.folded.Next())
				}
				if diff := cmp.Diff(want, offsets); diff != "" {
					t.Fatalf("records that count from %d to %d (-want +got):\n%s", from, end, diff)
				}
			}
			for p.folded.Next() < int64(len(log)) {
				rest := log[p.folded.Next():]
				if err := p.fold(rest[:min(len(rest), 1+luck.IntN(20))]); err != nil {
					t.Fatal(err)
				}
				check()
				switch luck.IntN(4) {
				case 0:
					written(t, ss)
				case 1: // asked while the batch is under way
					if c := p.cut(); c != nil {
						check()
						var b batch
						if err := errors.Join(b.add(c), disk.Write(b.all())); err != nil {
							t.Fatal(err)
						}
						check()
						c.committed()
					}
				case 2:
					disk = disk.crashed(func(writes int) int { return luck.IntN(writes + 1) })
					ss = diskOpened(t, registry, 16, disk, 1)
					p = ss.processors[0]
				}
				check()
			}
		})
	}
}

// Behind the last ignored record, Counting asks no disk: nearly all records count.
func TestCountingRarelyReadsTheDisk(t *testing.T) {
	records := randomLog(t, 3, 20, 16)
	copied := records[0]
	copied.Offset = 10
	for i := range records[10:] {
		records[10+i].Offset++
	}
	log := slices.Insert(slices.Clone(records), 10, copied)
	disk := newMemDisk()
	ss := diskOpened(t, registry, 16, disk, 1)
	p := ss.processors[0]
	if err := p.fold(log); err != nil {
		t.Fatal(err)
	}
	written(t, ss)
	scans := 0
	disk.fail = func(deed string) error {
		if deed == "scan" {
			scans++
		}
		return nil
	}
	for _, test := range []struct{ from, end, counting, scans int }{{11, 21, 10, 0}, {9, 12, 2, 1}, {0, 5, 5, 2}} {
		got, err := ss.Counting(t.Context(), log[test.from:test.end])
		if err != nil || len(got) != test.counting || scans != test.scans {
			t.Errorf("from %d to %d: %d records count, %d scans so far, %v; want %d, %d", test.from, test.end, len(got), scans, err, test.counting, test.scans)
		}
	}
}

// Counting waits for the fold, and for nothing else.
func TestCountingWaitsForTheFold(t *testing.T) {
	records := randomLog(t, 3, 20, 16)
	synctest.Test(t, func(t *testing.T) {
		ss := diskOpened(t, registry, 16, newMemDisk(), 1)
		p := ss.processors[0]
		if err := p.fold(records[:10]); err != nil {
			t.Fatal(err)
		}
		if _, err := ss.Counting(t.Context(), records[:10]); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := ss.Counting(t.Context(), records[5:11])
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("an answer before the fold: %v", err)
		default:
		}
		if err := p.fold(records[10:11]); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(t.Context())
		end()
		if _, err := ss.Counting(ended, records); !errors.Is(err, context.Canceled) {
			t.Errorf("after the end of the context: %v", err)
		}
	})
}

// A disk that can't read the notes ends the state store.
func TestNotesThatCannotBeRead(t *testing.T) {
	disk := newMemDisk()
	ss := diskOpened(t, registry, 16, disk, 1)
	records := randomLog(t, 4, 20, 16)
	ignored := records[0]
	ignored.Offset = int64(len(records))
	records = append(records, ignored)
	if err := ss.processors[0].fold(records); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	disk.fail = func(string) error { return broken }
	if _, err := ss.Counting(t.Context(), records); !errors.Is(err, broken) {
		t.Errorf("the error is %v", err)
	}
	if err := <-ss.broken; !errors.Is(err, broken) {
		t.Errorf("the state store hears of %v", err)
	}
}
