package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

func newLogReader(t *testing.T, k *Kafka) *LogReader {
	t.Helper()
	log, err := k.LogReader()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, log)
	return log
}

// newRecords returns the first n records of a stream in partition 1.
func newRecords(n int) (records []*eventlog.Record) {
	stream := streamIn(1)
	for seq := range n {
		records = append(records, newRecord(stream, seq+1))
	}
	return records
}

var errEnough = errors.New("enough")

// Follow starts at any offset, and keeps the order.
func TestFollow(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(2500)
	appendAll(t, k, records...)
	log := newLogReader(t, k)
	for _, from := range []int64{0, 1, 999, 2499} {
		next := from
		err := log.Follow(t.Context(), 1, from, func(batch []eventlog.Record) error {
			for i := range batch {
				r := &batch[i]
				if r.Partition != 1 || r.Offset != next || r.Digest != records[next].Digest || r.Malformed != nil || r.Unreadable != nil {
					t.Fatalf("record %d at %d/%d, want offset %d (%v, %v)", r.Seq, r.Partition, r.Offset, next, r.Malformed, r.Unreadable)
				}
				next++
			}
			if next == int64(len(records)) {
				return errEnough
			}
			return nil
		})
		if !errors.Is(err, errEnough) {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

// fetched is a partition consumer with many messages in its channel.
type fetched struct {
	sarama.PartitionConsumer
	messages chan *sarama.ConsumerMessage
}

func (f fetched) Messages() <-chan *sarama.ConsumerMessage { return f.messages }

func (fetched) HighWaterMarkOffset() int64 { return 2500 }

// Messages that are already there come at once, up to a limit.
func TestFollowInBatches(t *testing.T) {
	from := fetched{messages: make(chan *sarama.ConsumerMessage, 2500)}
	for offset := range int64(2500) {
		from.messages <- &sarama.ConsumerMessage{Offset: offset}
	}
	var sizes []int
	next := int64(0)
	err := (&reader{}).consume(t.Context(), from, 0, new(atomic.Int64), func(batch []*sarama.ConsumerMessage) error {
		sizes = append(sizes, len(batch))
		for _, m := range batch {
			if m.Offset != next {
				t.Errorf("offset %d comes, want %d", m.Offset, next)
			}
			next++
		}
		if next == 2500 {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Error(err)
	}
	if diff := cmp.Diff([]int{1000, 1000, 500}, sizes); diff != "" {
		t.Errorf("batches (-want +got):\n%s", diff)
	}
}

// At the end Follow waits for new records.
func TestFollowFromTheEnd(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(2)
	appendAll(t, k, records[0])
	log := newLogReader(t, k)
	got := make(chan eventlog.Record, 10)
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() {
		followed <- log.Follow(ctx, 1, 1, func(batch []eventlog.Record) error {
			for _, r := range batch {
				got <- r
			}
			return nil
		})
	}()
	appendAll(t, k, records[1])
	if r := receive(t, got, "a record"); r.Offset != 1 {
		t.Errorf("offset %d came, want 1", r.Offset)
	}
	began := time.Now()
	cancel()
	if err := receive(t, followed, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	}
}

func TestEnd(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	log := newLogReader(t, k)
	for _, n := range []int64{0, 1, 3} {
		end, err := log.End(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		appendAll(t, k, newRecords(int(n-end))...)
		if end, err := log.End(t.Context(), 1); err != nil || end != n {
			t.Errorf("ends at %d (%v), want %d", end, err, n)
		}
	}
	if _, err := log.End(t.Context(), partitions); err == nil {
		t.Error("a partition that doesn't exist has an end")
	}
}

func TestCommandRange(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	commands, err := k.CommandReader()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, commands)
	ranges := func(wantFirst, wantEnd int64) {
		t.Helper()
		first, end, err := commands.Range(t.Context(), 1)
		if err != nil || first != wantFirst || end != wantEnd {
			t.Errorf("from %d to %d (%v), want %d to %d", first, end, err, wantFirst, wantEnd)
		}
	}
	ranges(0, 0)
	messagesIn(t, k, eventlog.TopicCommands, 1, 5)
	ranges(0, 5)
	for _, first := range []int64{3, 5} {
		if err := newAdmin(t, k).DeleteRecords(k.Topic(eventlog.TopicCommands), map[int32]int64{1: first}); err != nil {
			t.Fatal(err)
		}
		ranges(first, 5)
	}
}

// At returns a record or ErrOffsetGone at once, even during other reads of the
// partition.
func TestAt(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(5)
	appendAll(t, k, records...)
	if err := newAdmin(t, k).DeleteRecords(k.Topic(eventlog.TopicEvents), map[int32]int64{1: 2}); err != nil {
		t.Fatal(err)
	}
	log := newLogReader(t, k)
	following, stop := context.WithCancel(t.Context())
	read, followed := make(chan int, 10), make(chan error, 1)
	go func() {
		followed <- log.Follow(following, 1, 2, func(batch []eventlog.Record) error {
			read <- len(batch)
			return nil
		})
	}()
	receive(t, read, "records to follow")
	var reads sync.WaitGroup
	for range 3 {
		reads.Go(func() {
			for offset := int64(0); offset < 7; offset++ {
				r, err := log.At(t.Context(), 1, offset)
				switch there := offset >= 2 && offset < 5; {
				case !there && !errors.Is(err, ErrOffsetGone):
					t.Errorf("offset %d: %v, want it gone", offset, err)
				case there && err != nil:
					t.Errorf("offset %d: %v", offset, err)
				case there && (r.Offset != offset || r.Digest != records[offset].Digest):
					t.Errorf("offset %d: record %d at offset %d", offset, r.Seq, r.Offset)
				}
			}
		})
	}
	reads.Wait()
	stop()
	if err := receive(t, followed, "the end"); !errors.Is(err, context.Canceled) {
		t.Errorf("followed until: %v", err)
	}
}

func TestFollowFromWhatIsGone(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	appendAll(t, k, newRecords(5)...)
	if err := newAdmin(t, k).DeleteRecords(k.Topic(eventlog.TopicEvents), map[int32]int64{1: 3}); err != nil {
		t.Fatal(err)
	}
	log := newLogReader(t, k)
	for _, from := range []int64{0, 2, 6, 1000} {
		err := log.Follow(t.Context(), 1, from, func(batch []eventlog.Record) error {
			t.Errorf("from %d: offset %d came", from, batch[0].Offset)
			return errEnough
		})
		if !errors.Is(err, ErrOffsetGone) {
			t.Errorf("from %d: %v", from, err)
		}
	}
}

// Records can be deleted during a read.
func TestFollowIntoWhatIsGone(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	appendAll(t, k, newRecords(5)...)
	log := newLogReader(t, k)
	read := make(chan int, 10)
	followed := make(chan error, 1)
	go func() {
		followed <- log.Follow(t.Context(), 1, 0, func(batch []eventlog.Record) error {
			read <- len(batch)
			return nil
		})
	}()
	receive(t, read, "records")
	if err := newAdmin(t, k).DeleteTopic(k.Topic(eventlog.TopicEvents)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "topic events anew", func() bool {
		_, err := k.EnsureTopics(t.Context())
		return err == nil
	})
	if err := receive(t, followed, "the end"); !errors.Is(err, ErrOffsetGone) {
		t.Errorf("followed until: %v", err)
	}
}

// An error of fn ends Follow, and the partition can be followed again.
func TestFollowEndsWithItsFunction(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	appendAll(t, k, newRecords(3)...)
	log := newLogReader(t, k)
	for range 2 {
		if err := log.Follow(t.Context(), 1, 0, func([]eventlog.Record) error { return errEnough }); !errors.Is(err, errEnough) {
			t.Errorf("followed until: %v", err)
		}
	}
}

// Close ends all reads.
func TestCloseWhileFollowing(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	appendAll(t, k, newRecords(3)...)
	log, err := k.LogReader()
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan int, 10)
	followed := make(chan error, partitions)
	for partition := range k.Partitions {
		go func() {
			followed <- log.Follow(t.Context(), partition, 0, func(batch []eventlog.Record) error {
				read <- len(batch)
				return nil
			})
		}()
	}
	receive(t, read, "records")
	if err := log.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	for range k.Partitions {
		if err := receive(t, followed, "the end"); err == nil || errors.Is(err, ErrOffsetGone) {
			t.Errorf("followed until: %v", err)
		}
	}
	if err := log.Follow(t.Context(), 1, 0, func([]eventlog.Record) error { return errEnough }); err == nil || errors.Is(err, errEnough) {
		t.Errorf("closed, and followed until: %v", err)
	}
	if _, err := log.At(t.Context(), 1, 0); err == nil || errors.Is(err, ErrOffsetGone) {
		t.Errorf("closed, and read at: %v", err)
	}
}

// The broker stops and starts again: Follow goes on, and misses no record.
func TestFollowThroughRestart(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	records := newRecords(6)
	appendAll(t, e.Kafka, records[:3]...)
	log := newLogReader(t, e.Kafka)
	got := make(chan eventlog.Record, 10)
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() {
		followed <- log.Follow(ctx, 1, 0, func(batch []eventlog.Record) error {
			for _, r := range batch {
				got <- r
			}
			return nil
		})
	}()
	for offset := range int64(6) {
		if offset == 3 {
			e.stop(t)
			e.start(t)
			appendAll(t, e.Kafka, records[3:]...)
		}
		if r := receive(t, got, "a record"); r.Offset != offset {
			t.Errorf("offset %d came, want %d", r.Offset, offset)
		}
	}
	e.stop(t)
	began := time.Now()
	cancel()
	if err := receive(t, followed, "the end, with no broker"); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("ended after %v", took)
	}
}

// A message that is no record comes as a malformed record.
func TestFollowMalformed(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	produce(t, k, &sarama.ProducerMessage{Topic: k.Topic(eventlog.TopicEvents), Partition: 1, Value: sarama.StringEncoder("?")})
	r, err := newLogReader(t, k).At(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.Malformed == nil || string(r.Body) != "?" {
		t.Errorf("read as %+v", r)
	}
}
