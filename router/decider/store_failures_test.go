package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/decider/keys"
)

// While the disk is full, commands are refused, but commands under way are
// decided as far as memory goes; with room, all goes on, and nothing is lost.
func TestFullDisk(t *testing.T) {
	for _, deed := range []string{"write", "flush"} {
		t.Run(deed, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log, disk := newFakeLog(), newMemDisk()
				var said strings.Builder
				ss := NewStateStore(log, registry, 1, 128, slog.New(slog.NewTextHandler(&said, nil)))
				ss.KeepOn(disk, 40_000, nil)
				s := serveWith(t, ss, log)
				full := true
				disk.mu.Lock()
				disk.fail = func(what string) error {
					if full && what == deed {
						return syscall.ENOSPC
					}
					return nil
				}
				disk.mu.Unlock()
				commands := manyCommands(500, 1000)
				s.take(commands[:100]...)
				time.Sleep(10 * time.Second) // a batch and a flush are due
				taken := make(chan struct{})
				go func() {
					defer close(taken)
					s.take(commands[100:]...)
				}()
				time.Sleep(time.Minute)
				if err := ss.Refusal(); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("commands are not refused: %v", err)
				}
				stats := ss.Stats()
				if stats.Folded == 0 || stats.Folded == 1000 || stats.Unwritten == 0 {
					t.Errorf("%+v", stats)
				}
				if o, ok := ss.Outcome(commands[0].Stream, commands[0].ID); !ok || o.Kind != Succeeded {
					t.Errorf("the outcome of a command is %+v, %t", o, ok)
				}
				disk.mu.Lock()
				full = false
				disk.mu.Unlock()
				<-taken
				s.drain()
				time.Sleep(2 * time.Minute) // the writer may be waiting for its next try
				if err := ss.Refusal(); err != nil {
					t.Errorf("the guard is not ready: %v", err)
				}
				s.stop()
				checkOutcomes(t, log, commands)
				if n := strings.Count(said.String(), "refusing commands until there is room"); n != 1 {
					t.Errorf("said %d times that there is no room:\n%s", n, said.String())
				}
				again := diskOpened(t, registry, 128, disk.crashed(func(int) int { return 0 }), 1)
				wantSame(t, again.processors[0], folded(t, log.records, 128))
			})
		})
	}
}

// A batch that could not be written at the end is followed by no other batch, though
// the disk has room again: that batch would lack the streams of the first.
func TestFullDiskAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, disk := newFakeLog(), newMemDisk()
		ss := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
		ss.KeepOn(disk, 1<<20, nil)
		s := serveWith(t, ss, log)
		commands := manyCommands(10, 40)
		s.take(commands[:10]...)
		time.Sleep(writeEvery / 2)
		ss.processors[0].wake() // a batch that waits for a flush
		synctest.Wait()
		s.take(commands[10:20]...)
		full := true
		disk.mu.Lock()
		disk.fail = func(deed string) error {
			if full && deed == "write" {
				return syscall.ENOSPC
			}
			return nil
		}
		disk.mu.Unlock()
		time.Sleep(writeEvery) // the next batch waits for room
		s.take(commands[20:25]...)
		s.drain()
		disk.mu.Lock()
		fail := disk.fail
		disk.fail = func(deed string) error {
			if deed == "flush" {
				full = false
			}
			return fail(deed)
		}
		disk.mu.Unlock()
		s.stop()
		disk.fail = nil
		again := diskOpened(t, registry, 128, disk.crashed(func(int) int { return 0 }), 1)
		p := again.processors[0]
		wantSame(t, p, folded(t, log.records[:p.folded.Next()], 128))
	})
}

// A disk that can't be read ends the state store, and the command that came is
// not skipped.
func TestDamagedDisk(t *testing.T) {
	damaged := errors.New("wrong checksum")
	for _, deed := range []string{"get", "scan"} {
		t.Run(deed, func(t *testing.T) {
			log, disk := newFakeLog(), newMemDisk()
			withBrokenRule(t)
			parkOne(t, log, new(topic))
			ss := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
			ss.KeepOn(disk, 1, nil)
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var running sync.WaitGroup
			defer running.Wait()
			running.Go(func() { ended <- ss.Run(ctx) })
			if err := ss.CatchUp(ctx, 0); err != nil {
				t.Fatal(err)
			}
			for ss.Stats().Cached > 0 { // until the batch is written
				time.Sleep(time.Millisecond)
			}
			disk.mu.Lock()
			disk.fail = func(what string) error {
				if what == deed {
					return damaged
				}
				return nil
			}
			disk.mu.Unlock()
			if _, found := ss.Outcome("user/u", "2"); found {
				t.Error("an outcome was read from a damaged disk")
			}
			if err := <-ended; !errors.Is(err, damaged) || !strings.Contains(fmt.Sprint(err), "user/u") {
				t.Errorf("the state store ended with %v", err)
			}
		})
	}
}

// A value that is no value ends the state store, and the next start folds anew.
func TestDamagedValue(t *testing.T) {
	log, disk := richLog(t), newMemDisk()
	restarted(t, log, disk, 128, nil)
	key := string(keys.OfStream(nil, 0, keys.Stream, "user/u1"))
	disk.rows[key] = disk.rows[key][:10]
	ss := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
	ss.EventsID = "id"
	ss.KeepOn(disk, 1, nil)
	ended := make(chan error, 1)
	go func() { ended <- ss.Run(t.Context()) }()
	if err := ss.CatchUp(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	ss.Outcome("user/u1", "c1")
	if err := <-ended; !errors.Is(err, errValue) {
		t.Fatalf("the state store ended with %v", err)
	}
	ss, said := restarted(t, log, disk, 128, nil)
	if !strings.Contains(said, "removed the state store on disk") || !strings.Contains(said, "user/u1") {
		t.Error(said)
	}
	wantSame(t, ss.processors[0], folded(t, log.records, 128))
}
