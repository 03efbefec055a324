package decider

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// restarted runs a state store on a disk until the store has caught up, and
// stops the store.
func restarted(t *testing.T, log Log, disk Disk, remember int, set func(*StateStore)) (ss *StateStore, said string) {
	t.Helper()
	var out strings.Builder
	ss = NewStateStore(log, registry, 1, remember, slog.New(slog.NewTextHandler(&out, nil)))
	ss.EventsID, ss.AcceptShorter = "id", true
	ss.KeepOn(disk, 10_000, nil)
	if set != nil {
		set(ss)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = ss.Run(ctx) })
	if err := ss.CatchUp(ctx, 0); err != nil {
		t.Fatal(err)
	}
	cancel()
	running.Wait()
	return ss, out.String()
}

// countingLog counts the records that a state store folds.
type countingLog struct {
	*fakeLog
	folded int
}

func (l *countingLog) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	return l.fakeLog.Follow(ctx, partition, from, func(records []eventlog.Record) error {
		l.folded += len(records)
		return fn(records)
	})
}

// richLog has streams in all states.
func richLog(t *testing.T) *fakeLog {
	t.Helper()
	log := newFakeLog()
	log.records = randomLog(t, 1, 400, 128)
	return log
}

func TestRestartFoldsOnlyWhatCameSince(t *testing.T) {
	log := richLog(t)
	disk := newMemDisk()
	restarted(t, log, disk, 128, nil)
	all := len(log.records)

	s := serve(t, log)
	tp := topic{next: 10_000}
	s.take(tp.command("createUser", "late", "Lea", "l1"))
	s.drain()
	s.stop()

	counting := &countingLog{fakeLog: log}
	ss, said := restarted(t, counting, disk, 128, nil)
	if counting.folded != len(log.records)-all {
		t.Errorf("folded %d records of %d, want %d\n%s", counting.folded, len(log.records), len(log.records)-all, said)
	}
	wantSame(t, ss.processors[0], folded(t, log.records, 128))
	if !strings.Contains(said, `msg="opened the state store" records=`) || strings.Contains(said, "removed") {
		t.Error(said)
	}
}

// changeMeta changes what a disk says of its store.
func changeMeta(t *testing.T, disk *memDisk, change func(*storeMeta)) {
	t.Helper()
	var m storeMeta
	if err := json.Unmarshal(disk.rows[string(keys.Store)], &m); err != nil {
		t.Fatal(err)
	}
	change(&m)
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	disk.rows[string(keys.Store)] = data
}

func TestStoresThatDontFitAreFoldedAnew(t *testing.T) {
	meta := func(change func(*storeMeta)) func(*testing.T, *memDisk, *fakeLog) {
		return func(t *testing.T, disk *memDisk, _ *fakeLog) { changeMeta(t, disk, change) }
	}
	for name, test := range map[string]struct {
		spoil    func(*testing.T, *memDisk, *fakeLog)
		remember int
		says     string
	}{
		"another format":          {meta(func(m *storeMeta) { m.Format++ }), 128, fmt.Sprintf("its format is %d, and this binary's %d", storeFormat+1, storeFormat)},
		"another fold":            {meta(func(m *storeMeta) { m.Fold = "x" }), 128, "level=INFO msg=\"removed the state store on disk; folding the log anew\""},
		"another log":             {meta(func(m *storeMeta) { m.EventsID = "x" }), 128, "of another log"},
		"another partition count": {meta(func(m *storeMeta) { m.Partitions = 12 }), 128, "of another log"},
		"too few outcomes":        {meta(func(m *storeMeta) { m.Remember = 127 }), 128, "keeps 127 outcomes a stream, and handlers.outcomes_per_stream is 128"},
		"no text":                 {func(_ *testing.T, d *memDisk, _ *fakeLog) { d.rows[string(keys.Store)] = []byte("{") }, 128, "what it is made of"},
		"the log has another end": {func(_ *testing.T, _ *memDisk, log *fakeLog) { log.records[len(log.records)-1].Digest[0] ^= 1 }, 128, "the log has another record at its end"},
		"the log lost its tail":   {func(_ *testing.T, _ *memDisk, log *fakeLog) { log.records = log.records[:len(log.records)-5] }, 128, "ahead of the log"},
		"a stream that stopped, and another build": {func(t *testing.T, d *memDisk, _ *fakeLog) {
			key := keys.Prefix(nil, 0, keys.Meta)
			d.rows[string(key)] = bytes.Replace(d.rows[string(key)], []byte(`"Broken":0`), []byte(`"Broken":3`), 1)
			changeMeta(t, d, func(m *storeMeta) { m.Build = "older" })
		}, 128, "3 streams have a record that could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			log, disk := richLog(t), newMemDisk()
			restarted(t, log, disk, test.remember, nil)
			test.spoil(t, disk, log)
			counting := &countingLog{fakeLog: log}
			ss, said := restarted(t, counting, disk, test.remember, nil)
			if counting.folded != len(log.records) || strings.Count(said, "removed the state store on disk") != 1 || !strings.Contains(said, test.says) {
				t.Errorf("folded %d records of %d, and said: %s", counting.folded, len(log.records), said)
			}
			wantSame(t, ss.processors[0], folded(t, log.records, test.remember))
		})
	}
}

// Fewer outcomes than before need no fold of the log, but more need one, even
// after that.
func TestOutcomesThatWereForgottenComeBack(t *testing.T) {
	log, disk := richLog(t), newMemDisk()
	for i, step := range []struct {
		remember int
		anew     bool
	}{{20, true}, {5, false}, {20, true}, {20, false}} {
		counting := &countingLog{fakeLog: log}
		if restarted(t, counting, disk, step.remember, nil); (counting.folded == len(log.records)) != step.anew {
			t.Errorf("step %d: folded %d records of %d", i, counting.folded, len(log.records))
		}
	}
}

// A binary that knows more commands counts anew which streams wait for another
// binary.
func TestCountsOfABinaryThatKnowsMore(t *testing.T) {
	log, disk := richLog(t), newMemDisk()
	ss, _ := restarted(t, log, disk, 128, nil)
	if ss.Stats().Waiting == 0 {
		t.Fatal("no stream waits for another binary")
	}
	registry = registryOf(func() aggregate.Command[users.User] { return new(promoteUser) })
	counting := &countingLog{fakeLog: log}
	ss, said := restarted(t, counting, disk, 128, nil)
	if counting.folded != 0 || ss.Stats().Waiting != 0 {
		t.Errorf("folded %d records, and %d streams wait\n%s", counting.folded, ss.Stats().Waiting, said)
	}
}

// Unless an operator says that it is meant, nobody decides from a log that was
// longer.
func TestStoreOfALongerLogIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*fakeLog){
		"lost its tail": func(log *fakeLog) { log.records = log.records[:len(log.records)-5] },
		"another end":   func(log *fakeLog) { log.records[len(log.records)-1].Digest[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			log, disk := richLog(t), newMemDisk()
			restarted(t, log, disk, 128, nil)
			spoil(log)
			ss := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
			ss.EventsID = "id"
			ss.KeepOn(disk, 1, nil)
			ctx, stop := context.WithCancel(t.Context())
			var looking sync.WaitGroup
			looking.Go(func() {
				if ss.CatchUp(ctx, 0) == nil {
					stop() // Run has taken the store, and would go on for ever
				}
			})
			err := ss.Run(ctx)
			stop()
			if looking.Wait(); !errors.Is(err, kafka.ErrShorter) {
				t.Errorf("got %v, want %v", err, kafka.ErrShorter)
			}
		})
	}
}
