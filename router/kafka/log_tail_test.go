package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

func newLogTail(t *testing.T, k *Kafka) *LogTail {
	t.Helper()
	tail, err := k.LogTail()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, tail)
	return tail
}

// tailing is one reader of a partition.
type tailing struct {
	records chan []eventlog.Record
	ended   chan error
	stop    context.CancelFunc
}

// tailFrom starts a reader of partition 1. The records go to an unbuffered
// channel, so a test can be a slow reader.
func tailFrom(t *testing.T, r *TailReader, from int64) *tailing {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &tailing{records: make(chan []eventlog.Record), ended: make(chan error, 1), stop: cancel}
	go func() {
		f.ended <- r.Follow(ctx, 1, from, func(records []eventlog.Record) error {
			select {
			case f.records <- records:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(cancel)
	return f
}

// take expects the records of these offsets next.
func (f *tailing) take(t *testing.T, from, to int64) (all []eventlog.Record) {
	t.Helper()
	for from < to {
		for _, r := range receive(t, f.records, fmt.Sprintf("the record at %d", from)) {
			if r.Offset != from || r.Malformed != nil {
				t.Fatalf("offset %d came, want %d (%v)", r.Offset, from, r.Malformed)
			}
			from++
			all = append(all, r)
		}
	}
	if from != to {
		t.Fatalf("it came to %d, want %d", from, to)
	}
	return all
}

func (f *tailing) end(t *testing.T) {
	t.Helper()
	f.stop()
	if err := receive(t, f.ended, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with: %v", err)
	}
}

// read returns a partition's cache and the number of readers.
func (lt *LogTail) reading(partition int32) (c *tailCache, readers int) {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if c = lt.caches[partition]; c != nil {
		readers = c.readers
	}
	return c, readers
}

// begun waits for the start of a partition's read.
func (lt *LogTail) begun(t *testing.T, partition int32) *tailCache {
	t.Helper()
	var c *tailCache
	eventually(t, "the partition is read", func() bool {
		if c, _ = lt.reading(partition); c == nil {
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.first >= 0
	})
	return c
}

// Two readers of a partition share the records, decoded once. A third, later
// reader gets all records from its offset on.
func TestLogTailIsShared(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(30)
	appendAll(t, k, records[:10]...)
	tail, log := newLogTail(t, k), newLogReader(t, k)
	one, other := tailFrom(t, tail.Reader(log), 0), tailFrom(t, tail.Reader(log), 9)
	one.take(t, 0, 10)
	other.take(t, 9, 10)
	tail.begun(t, 1)
	appendAll(t, k, records[10:20]...)
	of, ofOther := one.take(t, 10, 20), other.take(t, 10, 20)
	for i := range of {
		if &of[i].Body[0] != &ofOther[i].Body[0] {
			t.Errorf("the record at %d was decoded twice", of[i].Offset)
		}
		if of[i].Digest != records[10+i].Digest {
			t.Errorf("another record at %d", of[i].Offset)
		}
	}
	third := tailFrom(t, tail.Reader(log), 5)
	third.take(t, 5, 20)
	appendAll(t, k, records[20:]...)
	for _, f := range []*tailing{one, other, third} {
		f.take(t, 20, 30)
		f.end(t)
	}
}

// A slow reader delays no other reader, and gets all records later.
func TestLogTailWithASlowReader(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	const n = 4 * tailRecords
	records := newRecords(n)
	appendAll(t, k, records[:1]...)
	tail, log := newLogTail(t, k), newLogReader(t, k)
	slow, quick := tailFrom(t, tail.Reader(log), 0), tailFrom(t, tail.Reader(log), 0)
	slow.take(t, 0, 1)
	quick.take(t, 0, 1)
	c := tail.begun(t, 1)
	appendAll(t, k, records[1:n-1]...)
	quick.take(t, 1, n-1)
	c.mu.Lock()
	if c.first == 0 || len(c.records) > tailRecords {
		t.Errorf("the cache has %d records from %d on", len(c.records), c.first)
	}
	c.mu.Unlock()
	slow.take(t, 1, n-1)
	appendAll(t, k, records[n-1])
	if a, b := slow.take(t, n-1, n), quick.take(t, n-1, n); &a[0].Body[0] != &b[0].Body[0] {
		t.Error("the reader fetches on its own, although the cache has its offset")
	}
	slow.end(t)
	quick.end(t)
}

// A partition is read while the partition has a reader, and read anew for the
// next reader.
func TestLogTailIsReadWhileItIsFollowed(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(5)
	tail, log := newLogTail(t, k), newLogReader(t, k)
	for i := range int64(5) {
		one, other := tailFrom(t, tail.Reader(log), i), tailFrom(t, tail.Reader(log), i)
		eventually(t, "both read", func() bool { _, readers := tail.reading(1); return readers == 2 })
		appendAll(t, k, records[i])
		one.take(t, i, i+1)
		other.take(t, i, i+1)
		c := tail.begun(t, 1)
		if other, _ := tail.reading(0); other != nil {
			t.Error("a partition without a reader is read")
		}
		one.end(t)
		if _, readers := tail.reading(1); readers != 1 {
			t.Errorf("%d readers, want the other one", readers)
		}
		other.end(t)
		if still, _ := tail.reading(1); still != nil {
			t.Error("the partition is still read")
		}
		eventually(t, "its end", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.err != nil
		})
	}
}

// A reader at an offset that the log doesn't have gets an error.
func TestLogTailOfAnOffsetThatIsGone(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	appendAll(t, k, newRecords(3)...)
	tail, log := newLogTail(t, k), newLogReader(t, k)
	good := tailFrom(t, tail.Reader(log), 0)
	good.take(t, 0, 3)
	if err := receive(t, tailFrom(t, tail.Reader(log), 4).ended, "the end"); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("behind the end: %v", err)
	}
	admin := newAdmin(t, k)
	if err := admin.DeleteRecords(k.Topic(eventlog.TopicEvents), map[int32]int64{1: 2}); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, tailFrom(t, tail.Reader(log), 1).ended, "the end"); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("trimmed: %v", err)
	}
	good.end(t)
}

// When the log loses the offset of the log tail, all readers there get an error.
func TestLogTailOfALogThatIsCut(t *testing.T) {
	c := &tailCache{grown: make(chan struct{})}
	c.begin(5)
	c.add([]eventlog.Record{{Offset: 5}, {Offset: 6}})
	_, _, grown, _ := c.after(7)
	c.end(ErrOffsetGone)
	receive(t, grown, "word")
	if _, _, _, err := c.after(7); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("at the end: %v", err)
	}
	if records, _, _, _ := c.after(6); len(records) != 1 {
		t.Errorf("before the end: %d records", len(records))
	}
	if _, elsewhere, _, _ := c.after(4); !elsewhere {
		t.Error("behind the end: the cache assignments to have the offset")
	}
}

// The cache limits the memory of large records, and allows gaps between offsets.
func TestLogTailCache(t *testing.T) {
	c := &tailCache{grown: make(chan struct{})}
	c.begin(0)
	body := []byte(strings.Repeat("x", tailBytes/16))
	for i := range int64(100) {
		c.add([]eventlog.Record{{Offset: 2 * i, Body: body}})
		if c.bytes > tailBytes+2*len(body) {
			t.Fatalf("%d bytes are kept", c.bytes)
		}
		size := 0
		for _, r := range c.records {
			size += len(r.Body)
		}
		if size != c.bytes || c.next != 2*i+1 {
			t.Fatalf("%d bytes to %d, want %d to %d", c.bytes, c.next, size, 2*i+1)
		}
		for at := c.first; at < c.next; at++ {
			records, elsewhere, _, _ := c.after(at)
			if len(records) == 0 || elsewhere || records[0].Offset != at+at%2 {
				t.Fatalf("from %d on: %d records, elsewhere %v", at, len(records), elsewhere)
			}
		}
	}
	before, _, _, _ := c.after(c.first)
	offset := before[0].Offset
	c.add(make([]eventlog.Record, 3*tailRecords))
	if before[0].Offset != offset {
		t.Error("a record was changed that a reader has")
	}
}

// A cache without new records is emptied, and goes on with the next records. A
// reader of earlier records fetches on its own.
func TestLogTailAtRest(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(20)
	appendAll(t, k, records[:1]...)
	tail, log := newLogTail(t, k), newLogReader(t, k)
	one := tailFrom(t, tail.Reader(log), 0)
	one.take(t, 0, 1)
	c := tail.begun(t, 1)
	kept := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.records)
	}
	appendAll(t, k, records[1:10]...)
	one.take(t, 1, 10)
	if c.rest(); kept() != 9 {
		t.Errorf("%d records are left under way", kept())
	}
	if c.rest(); kept() != 0 {
		t.Errorf("%d records are left at rest", kept())
	}
	other := tailFrom(t, tail.Reader(log), 5)
	other.take(t, 5, 10)
	appendAll(t, k, records[10:]...)
	if a, b := one.take(t, 10, 20), other.take(t, 10, 20); &a[0].Body[0] != &b[0].Body[0] {
		t.Error("the reader fetches on its own, although the cache has its offset")
	}
	one.end(t)
	other.end(t)
}

// Closing the log tail or the reader ends Follow with an error.
func TestLogTailCloses(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	tail, log := newLogTail(t, k), newLogReader(t, k)
	mine, err := k.LogReader()
	if err != nil {
		t.Fatal(err)
	}
	one, other := tailFrom(t, tail.Reader(log), 0), tailFrom(t, tail.Reader(mine), 0)
	tail.begun(t, 1)
	if err := mine.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, other.ended, "the end"); !errors.Is(err, errClosed) {
		t.Errorf("ended with: %v", err)
	}
	if err := tail.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, one.ended, "the end"); !errors.Is(err, errClosed) {
		t.Errorf("ended with: %v", err)
	}
	if err := receive(t, tailFrom(t, tail.Reader(log), 0).ended, "the end"); !errors.Is(err, errClosed) {
		t.Errorf("begun with: %v", err)
	}
}

// A broker that hangs delays neither the end of Follow nor Close.
func TestLogTailOfABrokerThatHangs(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	appendAll(t, e.Kafka, newRecords(3)...)
	tail, log := newLogTail(t, e.Kafka), newLogReader(t, e.Kafka)
	one := tailFrom(t, tail.Reader(log), 0)
	one.take(t, 0, 3)
	tail.begun(t, 1)
	e.hang(t)
	began := time.Now()
	one.end(t)
	behind := tailFrom(t, tail.Reader(log), 0)
	eventually(t, "it reads", func() bool { _, readers := tail.reading(1); return readers == 1 })
	behind.end(t)
	_ = tail.Close() // maybe an error: gave up waiting
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A subscription gets the records from the log tail. The group itself fetches
// nothing after the pause.
func TestLogSubscription(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(600)
	appendAll(t, k, records[:300]...)
	tail := newLogTail(t, k)
	c := &assignee{setup: func(assignment *Assignment) (int64, error) {
		if assignment.Partition == 1 {
			return 7, nil
		}
		return 0, nil
	}}
	subscription := k.LogSubscription(k.Prefix+testGroup, tail.Reader(newLogReader(t, k)), c, patience)
	messages, err := subscription.Subscribe(t.Context(), k.Topic(eventlog.TopicEvents))
	if err != nil {
		t.Fatal(err)
	}
	next, nacked := int64(7), false
	take := func(to int64) {
		t.Helper()
		for next < to {
			msg := receive(t, messages, "records")
			of := RecordsFromMessage(msg)
			if of[0].Offset != next || len(of) > maxPacked || PlaceOf(msg) != (Place{1, next}) {
				t.Fatalf("%d records from %d on, want them from %d on", len(of), of[0].Offset, next)
			}
			if !nacked {
				nacked = true
				msg.Nack()
				continue
			}
			next = of[len(of)-1].Offset + 1
			msg.Ack()
		}
	}
	take(300)
	appendAll(t, k, records[300:]...)
	take(600)
	c.assignment(1).Abandon() // while the subscription waits for more records
	eventually(t, "it is set up anew", func() bool { return c.setups.Load() == 2*int64(partitions) })
	next = 7
	take(600)
	if err := subscription.Close(); err != nil {
		t.Error(err)
	}
	if c, _ := tail.reading(1); c != nil {
		t.Error("the partition is still read")
	}
}
