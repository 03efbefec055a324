package service

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/statestore"
)

// The state store of a command service that is killed in the middle of folds and
// of writes, and whose files are damaged, is always the fold of the log up to its
// offsets, or is deleted and folded anew.
func TestStateStoreOfKilledService(t *testing.T) {
	underLoad(t)
	t.Parallel()
	kills := 6
	if fullSize() {
		kills = 50
	}
	s := newStack(t)
	s.shared["handlers.outcomes_per_stream"], s.shared["handlers.memory"] = "40", "33554432"
	s.startBroker()
	s.commandService = s.service(settings{"roles": "command-service"})
	s.commandService.start()
	load := s.loadOfRenames()
	defer load.stop()
	rng, deleted, behind := rand.New(rand.NewPCG(15, 15)), 0, int64(0)
	dir := filepath.Join(s.shared["data_dir"], "state")
	for n := range kills {
		s.waitForLoad(load, 50+rng.Int64N(400))
		s.commandService.kill()
		damaged := ""
		if n%2 == 1 {
			damaged = damageOneFile(t, rng, dir)
		}
		found := s.wantFoldOfTheLog(dir)
		t.Logf("kill %d: %s%s", n+1, damaged, found)
		if found.deleted {
			deleted++
			if damaged == "" {
				t.Errorf("after kill %d the state store is deleted, and no file was damaged: %s", n+1, found.log)
			}
		}
		behind += found.behind
		s.relaunch()
		if rng.IntN(3) > 0 {
			s.readyAgain() // otherwise the next kill may be in the middle of the fold
		}
	}
	if deleted == kills || behind == 0 {
		t.Errorf("of %d stores %d were deleted, and all lacked %d records: no kill was in the middle of anything", kills, deleted, behind)
	}
	s.readyAgain()
	s.waitForLoad(load, 100)
}

// renames is clients that rename users until stop is called.
type renames struct {
	accepted atomic.Int64
	stop     func()
}

func (s *stack) loadOfRenames() *renames {
	ctx, cancel := context.WithCancel(s.t.Context())
	r := new(renames)
	var clients sync.WaitGroup
	for client := range 8 {
		rng := rand.New(rand.NewPCG(uint64(client), 3))
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				kind := "renameUser"
				if rng.IntN(4) == 0 {
					kind = "createUser"
				}
				got, err := s.tryPost(fmt.Sprintf(`{"type":%q,"payload":{"id":%d,"name":"Name %d %d"}}`, kind, rng.IntN(200), client, n))
				if err == nil && got.status == 202 {
					r.accepted.Add(1)
				}
			}
		})
	}
	r.stop = func() {
		cancel()
		clients.Wait()
	}
	return r
}

// waitForLoad waits until more commands are accepted. A command service that ends
// because a read has found damage starts again.
func (s *stack) waitForLoad(load *renames, n int64) {
	s.t.Helper()
	wanted := load.accepted.Load() + n
	eventually(s.t, "more commands", func() error {
		s.startAfterDamage()
		if got := load.accepted.Load(); got < wanted {
			return fmt.Errorf("%d commands are accepted, want %d", got, wanted)
		}
		return nil
	})
}

// readyAgain waits until the command service is ready.
func (s *stack) readyAgain() {
	s.t.Helper()
	eventually(s.t, "ready", func() error {
		s.startAfterDamage()
		return s.commandService.ready()
	})
}

// startAfterDamage starts a command service that has ended because a read has found
// damage in the state store.
func (s *stack) startAfterDamage() {
	s.t.Helper()
	if !s.commandService.hasEnded() {
		return
	}
	if err := wantText(s.commandService.stderr.String(), "will be deleted at the next start"); err != nil {
		s.t.Fatal(err)
	}
	s.relaunch()
}

// relaunch starts the command service at its addresses, and waits for nothing: the
// process may end before its banner.
func (s *stack) relaunch() {
	s.t.Helper()
	s.commandService.process = launch(s.t, s.commandService.set, s.commandService.args...)
	s.commandService.process.at = s.commandService.at
}

// damageOneFile cuts, changes or removes a file of a state store.
func damageOneFile(t *testing.T, rng *rand.Rand, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for {
		entry := entries[rng.IntN(len(entries))]
		path := filepath.Join(dir, entry.Name())
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 {
			continue
		}
		switch rng.IntN(4) {
		case 0:
			err = os.Truncate(path, rng.Int64N(int64(len(data))))
		case 1:
			data[rng.IntN(len(data))] ^= 1 << rng.IntN(8)
			err = os.WriteFile(path, data, 0o600)
		case 2:
			clear(data[rng.IntN(len(data)):])
			err = os.WriteFile(path, data, 0o600)
		default:
			err = os.Remove(path)
		}
		if err != nil {
			t.Fatal(err)
		}
		return entry.Name() + " is damaged, "
	}
}

// foldFound is what a comparison of a state store with the log has found.
type foldFound struct {
	records, behind int64 // folded records, and records of the log that the store lacks
	keys            int
	deleted         bool
	log             string
}

func (f foldFound) String() string {
	if f.deleted {
		return "deleted"
	}
	return fmt.Sprintf("%d records are folded into %d keys, %d records are missing", f.records, f.keys, f.behind)
}

// wantFoldOfTheLog compares a copy of a state store with a fold of the log up to
// the store's offsets, key by key.
func (s *stack) wantFoldOfTheLog(dir string) (found foldFound) {
	s.t.Helper()
	copied := filepath.Join(s.t.TempDir(), "state")
	s.must(os.CopyFS(copied, os.DirFS(dir)))
	text := new(bytes.Buffer)
	store, err := statestore.Open(statestore.Options{Dir: copied, Log: slog.New(slog.NewTextHandler(text, nil))})
	s.must(err)
	defer func() { s.must(store.Close()) }()
	got, err := contentOf(store)
	if err != nil { // damage that only a read notices: the service ends, and its next start deletes the store
		s.must(errors.Join(store.Close()))
		store, err = statestore.Open(statestore.Options{Dir: copied, Log: slog.New(slog.NewTextHandler(text, nil))})
		s.must(err)
		got, err = contentOf(store)
		s.must(err)
	}
	found.log, found.keys = text.String(), len(got)
	found.deleted = strings.Contains(found.log, "deleted the state store")
	if found.deleted {
		return found
	}
	offsets := offsetsOf(s.t, got)
	wanted, behind := s.foldedUpTo(offsets)
	found.behind = behind
	for _, offset := range offsets {
		found.records += offset
	}
	for key, value := range wanted {
		if !bytes.Equal(got[key], value) {
			s.t.Errorf("key %q is\n\t%q, and the log makes\n\t%q", key, got[key], value)
		}
	}
	for key := range got {
		if _, ok := wanted[key]; !ok {
			s.t.Errorf("the log makes no key %q", key)
		}
	}
	return found
}

func (s *stack) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// contentOf are the keys of the partitions.
func contentOf(store *statestore.Store) (map[string][]byte, error) {
	all := map[string][]byte{}
	err := store.Scan([]byte{'p'}, []byte{'q'}, func(key, value []byte) error {
		all[string(key)] = bytes.Clone(value)
		return nil
	})
	return all, err
}

// offsetsOf are the offsets up to which the partitions of a store are folded.
func offsetsOf(t *testing.T, content map[string][]byte) map[int32]int64 {
	t.Helper()
	offsets := map[int32]int64{}
	for key, value := range content {
		if len(key) != 6 || key[5] != 'm' {
			continue
		}
		var meta struct {
			Next int64 `json:"next"`
		}
		if err := json.Unmarshal(value, &meta); err != nil {
			t.Fatal(err)
		}
		offsets[int32(binary.BigEndian.Uint32([]byte(key[1:5])))] = meta.Next
	}
	return offsets
}

// foldedUpTo folds the log up to offsets, into a store in memory, and counts the
// records behind the offsets.
func (s *stack) foldedUpTo(offsets map[int32]int64) (content map[string][]byte, behind int64) {
	s.t.Helper()
	log := slog.New(slog.DiscardHandler)
	const partitions = 12
	reader, err := (&kafka.Kafka{Brokers: s.brokers(), Partitions: partitions, Prefix: s.shared["kafka.topic_prefix"], Log: log}).LogReader()
	s.must(err)
	defer func() { s.must(reader.Close()) }()
	store, err := statestore.Open(statestore.Options{Dir: "state", FS: vfs.NewMem(), Log: log})
	s.must(err)
	defer func() { s.must(store.Close()) }()
	states := decider.NewStateStore(logUpTo{reader, offsets}, registeredDomain(s.t).registry, partitions, 40, log)
	states.KeepOn(store, 1<<30, nil)
	ctx, stop := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- states.Run(ctx) }()
	for partition := range int32(partitions) {
		s.must(states.CatchUp(ctx, partition))
		end, err := reader.End(ctx, partition)
		s.must(err)
		behind += end - offsets[partition]
	}
	stop()
	s.must(<-done)
	content, err = contentOf(store)
	s.must(err)
	return content, behind
}

// logUpTo is a log that ends at offsets.
type logUpTo struct {
	*kafka.LogReader
	offsets map[int32]int64
}

func (l logUpTo) End(_ context.Context, partition int32) (int64, error) {
	return l.offsets[partition], nil
}

func (l logUpTo) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	end := l.offsets[partition]
	enough := errors.New("the end")
	err := enough
	if from < end {
		err = l.LogReader.Follow(ctx, partition, from, func(records []eventlog.Record) error {
			for len(records) > 0 && records[len(records)-1].Offset >= end {
				records = records[:len(records)-1]
			}
			if err := fn(records); err != nil {
				return err
			}
			if len(records) > 0 && records[len(records)-1].Offset == end-1 {
				return enough
			}
			return nil
		})
	}
	if errors.Is(err, enough) {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}
