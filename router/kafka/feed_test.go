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

func newFeed(t *testing.T, k *Kafka) *Feed {
	t.Helper()
	feed, err := k.Feed()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, feed)
	return feed
}

// feeding is somebody who follows a partition.
type feeding struct {
	records chan []eventlog.Record
	ended   chan error
	stop    context.CancelFunc
}

// feedOn follows partition 1. Records come to an unbuffered channel: who takes
// none is slow.
func feedOn(t *testing.T, r *FeedReader, from int64) *feeding {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &feeding{records: make(chan []eventlog.Record), ended: make(chan error, 1), stop: cancel}
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

// take wants the records of these offsets next.
func (f *feeding) take(t *testing.T, from, to int64) (all []eventlog.Record) {
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

func (f *feeding) end(t *testing.T) {
	t.Helper()
	f.stop()
	if err := receive(t, f.ended, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with: %v", err)
	}
}

// read is how a partition is read: the window, and how many read it.
func (f *Feed) reading(partition int32) (w *window, readers int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w = f.windows[partition]; w != nil {
		readers = w.readers
	}
	return w, readers
}

// begun waits until a partition is read.
func (f *Feed) begun(t *testing.T, partition int32) *window {
	t.Helper()
	var w *window
	eventually(t, "the partition is read", func() bool {
		if w, _ = f.reading(partition); w == nil {
			return false
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.first >= 0
	})
	return w
}

// Two who follow a partition have the same records, decoded once, and a third
// one who comes later has all from its offset on.
func TestFeedIsShared(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(30)
	appendAll(t, k, records[:10]...)
	feed, log := newFeed(t, k), newLogReader(t, k)
	one, other := feedOn(t, feed.Reader(log), 0), feedOn(t, feed.Reader(log), 9)
	one.take(t, 0, 10)
	other.take(t, 9, 10)
	feed.begun(t, 1)
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
	third := feedOn(t, feed.Reader(log), 5)
	third.take(t, 5, 20)
	appendAll(t, k, records[20:]...)
	for _, f := range []*feeding{one, other, third} {
		f.take(t, 20, 30)
		f.end(t)
	}
}

// One who takes nothing holds up nobody, and has all of it when he goes on.
func TestFeedWithASlowReader(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	const n = 4 * windowRecords
	records := newRecords(n)
	appendAll(t, k, records[:1]...)
	feed, log := newFeed(t, k), newLogReader(t, k)
	slow, quick := feedOn(t, feed.Reader(log), 0), feedOn(t, feed.Reader(log), 0)
	slow.take(t, 0, 1)
	quick.take(t, 0, 1)
	w := feed.begun(t, 1)
	appendAll(t, k, records[1:n-1]...)
	quick.take(t, 1, n-1)
	w.mu.Lock()
	if w.first == 0 || len(w.records) > windowRecords {
		t.Errorf("the feed keeps %d records from %d on", len(w.records), w.first)
	}
	w.mu.Unlock()
	slow.take(t, 1, n-1)
	appendAll(t, k, records[n-1])
	if a, b := slow.take(t, n-1, n), quick.take(t, n-1, n); &a[0].Body[0] != &b[0].Body[0] {
		t.Error("it reads on its own, although it is there again")
	}
	slow.end(t)
	quick.end(t)
}

// A partition is read while somebody follows it, and anew when somebody comes
// again.
func TestFeedIsReadWhileItIsFollowed(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(5)
	feed, log := newFeed(t, k), newLogReader(t, k)
	for i := range int64(5) {
		one, other := feedOn(t, feed.Reader(log), i), feedOn(t, feed.Reader(log), i)
		eventually(t, "both read", func() bool { _, readers := feed.reading(1); return readers == 2 })
		appendAll(t, k, records[i])
		one.take(t, i, i+1)
		other.take(t, i, i+1)
		w := feed.begun(t, 1)
		if other, _ := feed.reading(0); other != nil {
			t.Error("a partition is read that nobody follows")
		}
		one.end(t)
		if _, readers := feed.reading(1); readers != 1 {
			t.Errorf("%d readers, want the other one", readers)
		}
		other.end(t)
		if still, _ := feed.reading(1); still != nil {
			t.Error("it is still read")
		}
		eventually(t, "its end", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.err != nil
		})
	}
}

// An offset that the log doesn't have is no place to wait at.
func TestFeedOfAnOffsetThatIsGone(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	appendAll(t, k, newRecords(3)...)
	feed, log := newFeed(t, k), newLogReader(t, k)
	good := feedOn(t, feed.Reader(log), 0)
	good.take(t, 0, 3)
	if err := receive(t, feedOn(t, feed.Reader(log), 4).ended, "the end"); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("behind the end: %v", err)
	}
	admin := newAdmin(t, k)
	if err := admin.DeleteRecords(k.Topic(eventlog.TopicEvents), map[int32]int64{1: 2}); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, feedOn(t, feed.Reader(log), 1).ended, "the end"); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("what was trimmed: %v", err)
	}
	good.end(t)
}

// When the log loses the feed's place, all who stand there are told.
func TestFeedOfALogThatIsCut(t *testing.T) {
	w := &window{grown: make(chan struct{})}
	w.begin(5)
	w.add([]eventlog.Record{{Offset: 5}, {Offset: 6}})
	_, _, grown, _ := w.after(7)
	w.end(ErrOffsetGone)
	receive(t, grown, "word")
	if _, _, _, err := w.after(7); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("at the end: %v", err)
	}
	if records, _, _, _ := w.after(6); len(records) != 1 {
		t.Errorf("before the end: %d records", len(records))
	}
	if _, elsewhere, _, _ := w.after(4); !elsewhere {
		t.Error("behind: it isn't read elsewhere")
	}
}

// Great records don't fill the memory; gaps between offsets are no matter.
func TestFeedWindow(t *testing.T) {
	w := &window{grown: make(chan struct{})}
	w.begin(0)
	body := []byte(strings.Repeat("x", windowBytes/16))
	for i := range int64(100) {
		w.add([]eventlog.Record{{Offset: 2 * i, Body: body}})
		if w.bytes > windowBytes+2*len(body) {
			t.Fatalf("%d bytes are kept", w.bytes)
		}
		size := 0
		for _, r := range w.records {
			size += len(r.Body)
		}
		if size != w.bytes || w.next != 2*i+1 {
			t.Fatalf("%d bytes to %d, want %d to %d", w.bytes, w.next, size, 2*i+1)
		}
		for at := w.first; at < w.next; at++ {
			records, elsewhere, _, _ := w.after(at)
			if len(records) == 0 || elsewhere || records[0].Offset != at+at%2 {
				t.Fatalf("from %d on: %d records, elsewhere %v", at, len(records), elsewhere)
			}
		}
	}
	before, _, _, _ := w.after(w.first)
	offset := before[0].Offset
	w.add(make([]eventlog.Record, 3*windowRecords))
	if before[0].Offset != offset {
		t.Error("a record was changed that a reader has")
	}
}

// Whoever follows is told that the feed, or its own reader, was closed.
func TestFeedCloses(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	feed, log := newFeed(t, k), newLogReader(t, k)
	mine, err := k.LogReader()
	if err != nil {
		t.Fatal(err)
	}
	one, other := feedOn(t, feed.Reader(log), 0), feedOn(t, feed.Reader(mine), 0)
	feed.begun(t, 1)
	if err := mine.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, other.ended, "the end"); !errors.Is(err, errClosed) {
		t.Errorf("ended with: %v", err)
	}
	if err := feed.Close(); err != nil {
		t.Error(err)
	}
	if err := receive(t, one.ended, "the end"); !errors.Is(err, errClosed) {
		t.Errorf("ended with: %v", err)
	}
	if err := receive(t, feedOn(t, feed.Reader(log), 0).ended, "the end"); !errors.Is(err, errClosed) {
		t.Errorf("begun with: %v", err)
	}
}

// A broker that hangs holds up neither who follows nor who closes; one that was
// away is waited for.
func TestFeedOfABrokerThatHangs(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	appendAll(t, e.Kafka, newRecords(3)...)
	feed, log := newFeed(t, e.Kafka), newLogReader(t, e.Kafka)
	one := feedOn(t, feed.Reader(log), 0)
	one.take(t, 0, 3)
	feed.begun(t, 1)
	e.hang(t)
	began := time.Now()
	one.end(t)
	behind := feedOn(t, feed.Reader(log), 0)
	eventually(t, "it reads", func() bool { _, readers := feed.reading(1); return readers == 1 })
	behind.end(t)
	_ = feed.Close() // it may have had to give up
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A subscription takes its records from the feed: the group fetches none of
// them, but for what it had fetched before it was told.
func TestLogSubscription(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(600)
	appendAll(t, k, records[:300]...)
	feed := newFeed(t, k)
	c := &claimant{setup: func(claim *Claim) (int64, error) {
		if claim.Partition == 1 {
			return 7, nil
		}
		return 0, nil
	}}
	subscription := k.LogSubscription(k.Prefix+testGroup, feed.Reader(newLogReader(t, k)), c, patience)
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
	c.claim(1).Abandon() // while it waits for more
	eventually(t, "it is set up anew", func() bool { return c.setups.Load() == 2*int64(partitions) })
	next = 7
	take(600)
	if err := subscription.Close(); err != nil {
		t.Error(err)
	}
	if w, _ := feed.reading(1); w != nil {
		t.Error("it is still read")
	}
}
