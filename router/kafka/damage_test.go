package kafka

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/embedded"
)

// A reader of a damaged partition gets no wrong record, and ends with an error;
// readers of other partitions go on.
func TestDamagedPartition(t *testing.T) {
	t.Parallel()
	const records = 12
	for _, flip := range []int64{0, 3, 7, 8, 11, 17, 23, 61, 100, 300} { // in a batch in the middle: offset, length, checksum, head, records
		t.Run(fmt.Sprint(flip), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			broker, err := embedded.Start("localhost:0", dir, false, embedded.Security{}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			closing(t, broker)
			k := &Kafka{Brokers: []string{broker.Addr()}, Partitions: partitions, Replication: 1, Log: quiet}
			ensureTopics(t, k)
			written := newRecords(records)
			sizes := make([]int64, 0, records)
			file := filepath.Join(dir, "partitions", eventlog.TopicEvents+"-1", "0.dat")
			for _, r := range written {
				appendAll(t, k, r)
				info, err := os.Stat(file)
				if err != nil {
					t.Fatal(err)
				}
				sizes = append(sizes, info.Size())
			}
			other := newRecord(streamIn(2), 1)
			appendAll(t, k, other)
			const bad = 5 // the damaged record
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			content[sizes[bad-1]+flip] ^= 0x55
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}

			log, tail := newLogReader(t, k), newLogTail(t, k)
			for name, follow := range map[string]func(context.Context, int32, int64, func([]eventlog.Record) error) error{
				"reader": log.Follow, "again": log.Follow, "tail": tail.Reader(newLogReader(t, k)).Follow,
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				var got []eventlog.Record
				err := follow(ctx, 1, 0, func(some []eventlog.Record) error {
					for _, r := range some {
						r.Body = nil
						got = append(got, r)
					}
					return nil
				})
				cancel()
				if !errors.Is(err, ErrDamaged) {
					t.Errorf("%s: %v, after %d records", name, err, len(got))
				}
				for i, r := range got {
					if i >= bad || r.Offset != int64(i) || r.Digest != written[i].Digest {
						t.Errorf("%s: record %d is at %d", name, i, r.Offset)
					}
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if err := log.Follow(ctx, 2, 0, func([]eventlog.Record) error { return errEnough }); !errors.Is(err, errEnough) {
				t.Errorf("another partition: %v", err)
			}
			if end, err := log.End(t.Context(), 1); end != records || err != nil {
				t.Errorf("the end is %d, %v", end, err)
			}
		})
	}
}

// A member serves its other partitions while one is damaged, and isn't ready.
func TestAssignmentOfADamagedPartition(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 1)
	messagesIn(t, k, eventlog.TopicCommands, 2, 1)
	c := &assignee{setup: func(assignment *Assignment) (int64, error) {
		if assignment.Partition == 1 {
			return 0, fmt.Errorf("folding: %w", ErrDamaged)
		}
		return Committed, nil
	}}
	m := join(t, k, eventlog.TopicCommands, c, nil)
	if at := m.next(t); at != (Place{2, 0}) {
		t.Errorf("%v came", at)
	}
	if err := m.Ready(); !errors.Is(err, ErrDamaged) {
		t.Errorf("ready: %v", err)
	}
	m.leave(t)
}

// A broker that starts with a damaged file cuts the file, and has every message
// that comes later.
func TestBrokerCutsADamagedFile(t *testing.T) {
	t.Parallel()
	for _, at := range []float64{0, 0.3, 0.9} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			broker := startBroker(t, "localhost:0", dir)
			k := &Kafka{Brokers: []string{broker.Addr()}, Partitions: partitions, Replication: 1, Log: quiet}
			ensureTopics(t, k)
			for _, r := range newRecords(12) {
				appendAll(t, k, r)
			}
			if err := broker.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "partitions", eventlog.TopicEvents+"-1", "0.dat")
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			content[int(at*float64(len(content)))+40] ^= 1 // under a checksum
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}

			broker = startBroker(t, "localhost:0", dir)
			closing(t, broker)
			k.Brokers = []string{broker.Addr()}
			log := newLogReader(t, k)
			first, err := log.End(t.Context(), 1)
			if want := int64(12 * at); err != nil || first > want {
				t.Fatalf("the partition ends at %d, want %d or less: %v", first, want, err)
			}
			for seq := range 5 {
				appendAll(t, k, newRecord(streamIn(1), 100+seq))
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			var got []uint64
			err = log.Follow(ctx, 1, first, func(records []eventlog.Record) error {
				for i := range records {
					got = append(got, records[i].Seq)
				}
				if len(got) >= 5 {
					return errEnough
				}
				return nil
			})
			if !errors.Is(err, errEnough) || fmt.Sprint(got) != "[100 101 102 103 104]" {
				t.Errorf("read %v, %v", got, err)
			}
		})
	}
}
