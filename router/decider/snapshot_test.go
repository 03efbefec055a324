package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

func compareStreams(a, b map[string]*stream) string {
	return cmp.Diff(a, b, cmp.AllowUnexported(stream{}), cmp.FilterPath(func(p cmp.Path) bool {
		return p.Last().String() == ".unreadable" || p.Last().String() == ".places"
	}, cmp.Ignore()), cmp.Transformer("all", (*deferredQueue).all))
}

// richStateStore has streams in all states.
func richStateStore(t *testing.T) (*fakeLog, map[string]*stream) {
	t.Helper()
	withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)
	s := serve(t, log)
	s.take(manyCommandsFrom(tp, 20, 200)...)
	s.take(
		tp.command("renameUser", "nobody", "x", "no"),
		tp.command("deleteUser", "u3", "", "gone"),
		tp.expecting(tp.command("renameUser", "u4", "y", "old"), 1),
	)
	s.drain()
	s.stop()
	return log, s.states.processors[0].streams
}

func manyCommandsFrom(tp *topic, usersCount, n int) []eventlog.Envelope {
	commands := manyCommands(usersCount, n)
	for i := range commands {
		commands[i].Offset += tp.next
	}
	tp.next += int64(n)
	return commands
}

func TestSnapshotRoundTrip(t *testing.T) {
	_, streams := richStateStore(t)
	before := snapshot{EventsID: "id", Fold: registry.FoldVersion(), Partitions: 12, Partition: 3, Next: 42, Last: eventlog.Digest{1, 2}, Remember: 128, streams: streams}
	for _, st := range streams {
		for i := range st.outcomes {
			st.outcomes[i].Partition = 3
		}
	}
	data, err := before.encode(registry)
	if err != nil {
		t.Fatal(err)
	}
	after, err := decodeSnapshot(registry, data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := compareStreams(before.streams, after.streams); diff != "" {
		t.Errorf("streams (-before +after):\n%s", diff)
	}
	before.streams, after.streams = nil, nil
	if diff := cmp.Diff(before, *after, cmp.AllowUnexported(snapshot{})); diff != "" {
		t.Errorf("snapshot (-before +after):\n%s", diff)
	}
}

func TestSnapshotWithoutWhatCantBeRead(t *testing.T) {
	s := snapshot{streams: map[string]*stream{"user/u": {unreadable: aggregate.ErrUnknownEvent}}}
	if _, err := s.encode(registry); err == nil {
		t.Error("a stream that this binary can't read was written down as if it could")
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	s := snapshot{EventsID: "id", Fold: registry.FoldVersion(), Partitions: 1, Next: 7, Remember: 3, streams: map[string]*stream{
		"user/u": {state: users.User{Name: "Ann", Status: users.Active}, outcomes: []Outcome{{CommandID: "c", Kind: Refused, Refusal: users.ErrExists}}},
	}}
	data, err := s.encode(registry)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(snapshotFormat))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := &snapshotReader{rest: data, text: map[string]string{}, registry: registry}
		in.stream("user/u", 0) // what stands behind the checksum
		if snap, err := decodeSnapshot(registry, data); err == nil {
			if _, err := snap.encode(registry); err != nil {
				t.Errorf("read but not written: %v", err)
			}
		}
	})
}

// restarted runs a state store with snapshots until the store has caught up,
// and stops the store.
func restarted(t *testing.T, log Log, dir string, remember int) (ss *StateStore, said string) {
	t.Helper()
	var out strings.Builder
	ss = NewStateStore(log, registry, 1, remember, slog.New(slog.NewTextHandler(&out, nil)))
	ss.Snapshots = &Snapshots{Dir: dir, EventsID: "id", AcceptShorter: true}
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

func TestRestartFoldsOnlyWhatCameSince(t *testing.T) {
	log, streams := richStateStore(t)
	dir := t.TempDir()
	restarted(t, log, dir, 128)
	all := len(log.records)

	s := serve(t, log)
	tp := topic{next: 10_000}
	s.take(tp.command("createUser", "late", "Lea", "l1"))
	s.drain()
	s.stop()

	counting := &countingLog{fakeLog: log}
	ss, said := restarted(t, counting, dir, 128)
	if counting.folded != len(log.records)-all {
		t.Errorf("folded %d records of %d, want %d\n%s", counting.folded, len(log.records), len(log.records)-all, said)
	}
	got := ss.processors[0].streams
	if nameOf(got, "user/late") != "Lea" {
		t.Error("the records behind the snapshot are not in")
	}
	delete(got, "user/late")
	if diff := compareStreams(streams, got); diff != "" {
		t.Errorf("streams (-folded +restored):\n%s", diff)
	}
}

func TestSnapshotsThatDontFitAreIgnored(t *testing.T) {
	log, streams := richStateStore(t)
	for name, spoil := range map[string]func(t *testing.T, file string, log *fakeLog) (remember int){
		"damaged": func(t *testing.T, file string, _ *fakeLog) int {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			data[len(data)/2] ^= 1
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			return 128
		},
		"of another format": func(t *testing.T, file string, _ *fakeLog) int {
			if err := os.WriteFile(file, []byte("millrace state 0\n"+strings.Repeat("x", 99)), 0o600); err != nil {
				t.Fatal(err)
			}
			return 128
		},
		"too few outcomes": func(*testing.T, string, *fakeLog) int { return 200 },
		"the log has another end": func(_ *testing.T, _ string, log *fakeLog) int {
			log.records[len(log.records)-1].Digest[0] ^= 1
			return 128
		},
	} {
		t.Run(name, func(t *testing.T) {
			copied := newFakeLog()
			copied.records = append(copied.records, log.records...)
			dir := t.TempDir()
			ss, _ := restarted(t, copied, dir, 128)
			remember := spoil(t, ss.Snapshots.file(0), copied)
			counting := &countingLog{fakeLog: copied}
			ss, said := restarted(t, counting, dir, remember)
			if counting.folded != len(copied.records) || !strings.Contains(said, "ignored a snapshot") {
				t.Errorf("folded %d records of %d, and said: %s", counting.folded, len(copied.records), said)
			}
			if name != "the log has another end" {
				if diff := compareStreams(streams, ss.processors[0].streams); diff != "" {
					t.Errorf("streams (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestSnapshotOfALogThatLostItsTail(t *testing.T) {
	log, _ := richStateStore(t)
	dir := t.TempDir()
	restarted(t, log, dir, 128)
	log.records = log.records[:len(log.records)-5]
	counting := &countingLog{fakeLog: log}
	if _, said := restarted(t, counting, dir, 128); counting.folded != len(log.records) {
		t.Errorf("folded %d of %d: %s", counting.folded, len(log.records), said)
	}
}

// Unless an operator says that it is meant, nobody decides from a log that was
// longer.
func TestSnapshotOfALongerLogIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*fakeLog){
		"lost its tail": func(log *fakeLog) { log.records = log.records[:len(log.records)-5] },
		"another end":   func(log *fakeLog) { log.records[len(log.records)-1].Digest[0] ^= 1 },
	} {
		t.Run(name, func(t *testing.T) {
			log, _ := richStateStore(t)
			dir := t.TempDir()
			restarted(t, log, dir, 128)
			spoil(log)
			ss := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
			ss.Snapshots = &Snapshots{Dir: dir, EventsID: "id"}
			if err := ss.Run(t.Context()); !errors.Is(err, kafka.ErrShorter) {
				t.Errorf("got %v, want %v", err, kafka.ErrShorter)
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	streams := map[string]*stream{}
	for i := range 100_000 {
		streams[fmt.Sprint("user/", i)] = &stream{
			head:    eventlog.Head{Seq: 3, Version: 3},
			state:   users.User{Name: users.Name(fmt.Sprintf("user %d", i)), Status: users.Active},
			decided: eventlog.CommandPosition{TopicID: "0123456789012345678901", Offset: int64(i)},
			outcomes: []Outcome{{
				CommandID: "0190a1b2-0000-7000-8000-000000000000", CommandHash: strings.Repeat("0", 64), Kind: Succeeded, Version: 3,
			}},
		}
	}
	s := snapshot{Fold: registry.FoldVersion(), streams: streams}
	for b.Loop() {
		data, err := s.encode(registry)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := decodeSnapshot(registry, data); err != nil {
			b.Fatal(err)
		}
	}
}
