package decider

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// plainStream is a stream for comparisons, with all outcomes in memory.
type plainStream struct {
	Head      eventlog.Head
	State     any
	Decided   []eventlog.CommandPosition
	Outcomes  []Outcome
	Deferred  []deferredCommand
	Scheduled []scheduledCommand
	Parked    bool
	Stopped   string
	Unknown   bool
}

// plain reads a stream whole, from memory or from disk.
func plain(t *testing.T, p *processor, name string) plainStream {
	t.Helper()
	c, err := p.hold(name, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.letGo(c)
	s := c.stream
	if s == nil {
		return plainStream{}
	}
	out := plainStream{
		Head: s.head, State: s.state, Decided: append(slices.Clone(s.decidedBefore()), s.decided), Deferred: s.deferred.all(), Parked: s.parked,
		Unknown: errors.Is(s.unreadable, aggregate.ErrUnknownEvent),
	}
	for c := range s.schedule.all() {
		out.Scheduled = append(out.Scheduled, *c)
	}
	if s.unreadable != nil {
		out.Stopped = s.unreadable.Error()
	}
	for n := s.outcomes.from; n < s.outcomes.to; n++ {
		block := n / blockSize
		if s.outcomes.has(block) && s.outcomes.blocks[block-s.outcomes.firstBlock()].outcomes == nil {
			outcomes, err := p.readOutcomes(name, block)
			if err != nil || outcomes == nil {
				t.Fatalf("outcomes %d of %s: %v, %v", block, name, outcomes, err)
			}
			s.outcomes.restore(block, outcomes)
		}
		out.Outcomes = append(out.Outcomes, *s.outcomes.at(n))
	}
	return out
}

// allStreams are all streams of a partition, in memory and on disk.
func allStreams(t *testing.T, p *processor) map[string]plainStream {
	t.Helper()
	all := map[string]plainStream{}
	for name, c := range maps.Clone(p.streams) {
		if c.stream != nil {
			all[name] = plain(t, p, name)
		}
	}
	if p.disk != nil {
		prefix := keys.Prefix(nil, p.partition, keys.Stream)
		var names []string
		if err := p.disk.Scan(prefix, keys.Behind(prefix), func(key, _ []byte) error {
			names = append(names, string(key[len(prefix):]))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			all[name] = plain(t, p, name)
		}
	}
	return all
}

// folded is the fold of a log, without a disk.
func folded(t *testing.T, records []eventlog.Record, remember int) *processor {
	t.Helper()
	p := newProcessor(registry, remember, slog.New(slog.DiscardHandler))
	if err := p.fold(records); err != nil {
		t.Fatal(err)
	}
	return p
}

// wantSame fails unless two partitions have the same streams and counts.
func wantSame(t *testing.T, got, want *processor) {
	t.Helper()
	if diff := cmp.Diff(allStreams(t, want), allStreams(t, got)); diff != "" {
		t.Fatalf("the streams differ from a fold of the log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.tally, got.tally); diff != "" {
		t.Fatalf("the counts differ from a fold of the log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.events, got.events); diff != "" {
		t.Fatalf("the last events differ from a fold of the log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(allIgnored(t, want), allIgnored(t, got)); diff != "" {
		t.Fatalf("the notes of ignored records differ from a fold of the log (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want.decided, got.decided); diff != "" || want.last != got.last || want.folded.Next() != got.folded.Next() {
		t.Fatalf("at offset %d, not %d (-want +got):\n%s", got.folded.Next(), want.folded.Next(), diff)
	}
}

// wantNoRemains fails if the disk has keys that no stream needs.
func wantNoRemains(t *testing.T, p *processor, disk *memDisk) {
	t.Helper()
	got := map[keys.Kind]int{}
	for key := range disk.rows {
		if key != string(keys.Store) {
			got[keys.Kind(key[5])]++
		}
	}
	want := map[keys.Kind]int{keys.Meta: 1}
	add := func(kind keys.Kind, n int) {
		if n > 0 {
			want[kind] += n
		}
	}
	for name := range allStreams(t, p) {
		c, err := p.hold(name, "")
		if err != nil {
			t.Fatal(err)
		}
		s := c.stream
		add(keys.Stream, 1)
		add(keys.Outcomes, len(s.outcomes.blocks))
		add(keys.Deferred, s.deferred.len())
		add(keys.Waiting, min(s.deferred.len(), 1))
		add(keys.Scheduled, s.schedule.len())
		for c := range s.schedule.all() {
			if _, there := disk.rows[string(keys.OfDue(p.partition, c.due(), name, c.Seq))]; !there {
				t.Errorf("the due time of record %d of %s is not on disk", c.Seq, name)
			}
			add('t', 1)
		}
		add(keys.Earlier, min(len(s.decidedBefore()), 1))
		p.letGo(c)
	}
	add(keys.Ignored, len(allIgnored(t, p)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("keys on disk (-want +got):\n%s", diff)
	}
}

// randomLog is a log with all kinds of records: some streams are parked, requeued
// and dropped, topic commands is made anew, and a few records don't count.
func randomLog(t *testing.T, seed uint64, n, remember int) []eventlog.Record {
	t.Helper()
	luck := rand.New(rand.NewPCG(seed, 7))
	mended := withBrokenRule(t)
	log := &slowLog{fakeLog: newFakeLog()}
	p := slowProcessorOn(t, NewStateStore(log, registry, 1, remember, slog.New(slog.DiscardHandler)), log)
	tp := new(topic)
	now := time.UnixMilli(0)
	p.now = func() time.Time { return now }
	for i := range n {
		now = time.UnixMilli(int64(i + luck.IntN(20) - 10))
		user, id := fmt.Sprint("u", luck.IntN(6)), fmt.Sprint("c", i)
		if luck.IntN(10) == 0 {
			id = fmt.Sprint("c", luck.IntN(i+1)) // again
		}
		if luck.IntN(8) == 0 {
			id = fmt.Sprintf("0190a1b2-0000-7000-8000-%012d", i)
		}
		*mended = luck.IntN(3) > 0
		c := tp.command([]string{"createUser", "deactivateUser", "breakUser", "deleteUser", "requeueParked", "dropParked", "promoteUser", "renameUser"}[min(luck.IntN(16), 7)],
			user, fmt.Sprint("Name ", i), id)
		if c.Type == "dropParked" {
			c.Body = fmt.Appendf(nil, `{"stream":%q,"commandId":"other"}`, c.Stream)
			if s := p.stream(c.Stream); s != nil && s.deferred != nil {
				c.Body = fmt.Appendf(nil, `{"stream":%q,"commandId":%q}`, c.Stream, s.deferred.first.ID)
			}
		}
		if luck.IntN(5) == 0 && !slices.Contains(machineTypes, c.Type) {
			c.NotBefore = c.Time.Add(time.Duration(luck.IntN(80)-10) * time.Millisecond)
		}
		if luck.IntN(12) == 0 {
			c.Type, c.Body, c.NotBefore = TypeCancelScheduled, fmt.Appendf(nil, `{"stream":%q,"commandId":"c%d"}`, c.Stream, max(0, i-luck.IntN(20))), time.Time{}
		}
		log.take(t, p, c)
		if luck.IntN(4) == 0 {
			noError(p.look(p.assigned))
		}
		switch luck.IntN(100) {
		case 0: // topic commands is made anew
			log.landAll(p)
			if err := p.assign(newAssigned(kafka.NewAssignment(t.Context(), 0, func(int64) {}), fmt.Sprint("topic", i), log.append)); err != nil {
				t.Fatal(err)
			}
		case 1: // a record that does not count
			if len(log.records) > 0 {
				r := log.records[luck.IntN(len(log.records))]
				log.append(&r, func(error) {})
			}
		case 2:
			log.append(&eventlog.Record{Malformed: errors.New("no record")}, func(error) {})
		}
		if luck.IntN(2) == 0 {
			log.landAll(p)
		}
	}
	log.landAll(p)
	return log.records
}

// The store on disk is a fold of the log to its offset, whatever was in memory
// and whenever the process crashed; and after each crash the fold goes on from
// there.
func TestStoreEqualsAFold(t *testing.T) {
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			luck := rand.New(rand.NewPCG(seed, 8))
			remember := []int{1, 3, 16, 20, 128}[seed%5]
			records := randomLog(t, seed, 800, remember)
			memory := int64(1) // nothing stays in memory
			if seed%2 == 0 {
				memory = 5000
			}
			disk := newMemDisk()
			ss := diskOpened(t, registry, remember, disk, memory)
			p := ss.processors[0]
			for p.folded.Next() < int64(len(records)) {
				rest := records[p.folded.Next():]
				if err := p.fold(rest[:min(len(rest), 1+luck.IntN(20))]); err != nil {
					t.Fatal(err)
				}
				r := records[luck.IntN(int(p.folded.Next()))]
				ss.Outcome(r.Stream, r.CommandID)
				switch luck.IntN(12) {
				case 0, 1, 2:
					written(t, ss)
				case 3: // changed while the batch is written
					c := p.cut()
					if c == nil {
						continue
					}
					rest := records[p.folded.Next():]
					if err := p.fold(rest[:min(len(rest), luck.IntN(20))]); err != nil {
						t.Fatal(err)
					}
					var b batch
					if err := errors.Join(b.add(c), disk.Write(b.all())); err != nil {
						t.Fatal(err)
					}
					c.committed()
				case 4:
					_ = disk.Flush()
				case 5:
					disk = disk.crashed(func(writes int) int { return luck.IntN(writes + 1) })
					ss = diskOpened(t, registry, remember, disk, memory)
					p = ss.processors[0]
					wantSame(t, p, folded(t, records[:p.folded.Next()], remember))
				}
				if luck.IntN(60) == 0 {
					wantSame(t, p, folded(t, records[:p.folded.Next()], remember))
				}
			}
			written(t, ss)
			wantSame(t, p, folded(t, records, remember))
			wantNoRemains(t, p, disk)
			again := diskOpened(t, registry, remember, disk, memory)
			wantSame(t, again.processors[0], folded(t, records, remember))
			if p.waits != 0 || p.size > int(memory) {
				t.Errorf("in the end %d bytes are in memory, and %d wait for a batch", p.size, p.waits)
			}
		})
	}
}

// The lock of a partition is free while the disk is read or written.
func TestNoLockWhileTheDiskWorks(t *testing.T) {
	log := &slowLog{fakeLog: newFakeLog()}
	disk, deeds := newMemDisk(), map[string]int{}
	ss := diskOpened(t, registry, 20, disk, 1)
	p := slowProcessorOn(t, ss, log)
	disk.fail = func(deed string) error {
		deeds[deed]++
		if !p.mu.TryLock() {
			t.Errorf("the partition is locked during a %s", deed)
			return nil
		}
		p.mu.Unlock()
		return nil
	}
	mended := withBrokenRule(t)
	p.registry = registry
	tp := new(topic)
	d := &Dispatcher{States: ss}
	for i := range 300 {
		c := tp.command([]string{"createUser", "renameUser", "breakUser", "requeueParked"}[i%4], fmt.Sprint("u", i%3), fmt.Sprint("n", i), fmt.Sprint("c", i))
		*mended = i%8 == 0
		watch := ss.Watch(c.Stream, c.ID)
		log.take(t, p, c)
		log.landAll(p)
		watch.Close()
		written(t, ss)
		ss.Outcome(c.Stream, fmt.Sprint("c", i/2))
		d.isDecided(c, "topic")
		ss.Parked()
		ss.ParkedStream(c.Stream)
		if i%50 == 0 {
			if err := p.assign(newAssigned(kafka.NewAssignment(t.Context(), 0, func(int64) {}), "topic", log.append)); err != nil {
				t.Fatal(err)
			}
			log.landAll(p)
		}
		_ = disk.Flush()
	}
	for _, deed := range []string{"get", "scan", "write", "flush"} {
		if deeds[deed] < 50 {
			t.Errorf("%d times a %s", deeds[deed], deed)
		}
	}
	disk.fail = nil
	wantSame(t, p, folded(t, log.records, 20))
}
