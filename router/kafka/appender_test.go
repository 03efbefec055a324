package kafka

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/router/eventlog"
)

// appends is a test's set of records on their way to the log. Each stream has a
// counter of its own.
type appends struct {
	t      *testing.T
	k      *Kafka
	bus    *EventBus
	told   chan appended
	sent   int
	counts map[string]int
}

// appended is the result of a record's callback.
type appended struct {
	record *eventlog.Record
	err    error
}

func newAppends(t *testing.T, k *Kafka) *appends {
	t.Helper()
	bus, err := k.EventBus()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bus.Close() })
	return &appends{t: t, k: k, bus: bus, told: make(chan appended, 1<<15), counts: map[string]int{}}
}

// send appends the next n records of each of so many streams, without waiting.
func (a *appends) send(streams, n int) {
	for range n {
		for i := range streams {
			stream := fmt.Sprintf("user-%d", i)
			a.counts[stream]++
			a.sent++
			r := newRecord(stream, a.counts[stream])
			a.bus.Append(r, func(err error) { a.told <- appended{r, err} })
		}
	}
}

// results waits for the callbacks of all records since the last call.
func (a *appends) results() (succeeded, failed map[string]bool) {
	a.t.Helper()
	succeeded, failed = map[string]bool{}, map[string]bool{}
	for range a.sent {
		result := receive(a.t, a.told, "an append's result")
		id := result.record.CommandID
		if succeeded[id] || failed[id] {
			a.t.Errorf("%s: second callback", id)
		}
		if result.err != nil {
			failed[id] = true
		} else {
			succeeded[id] = true
		}
	}
	a.sent = 0
	return succeeded, failed
}

// all waits until all records are appended without an error.
func (a *appends) all() map[string]bool {
	a.t.Helper()
	sent := a.sent
	succeeded, failed := a.results()
	if len(failed) > 0 {
		a.t.Errorf("%d of %d failed", len(failed), sent)
	}
	return succeeded
}

// check reads the log. Each stream has the appended records, once, in the order
// of the calls.
func (a *appends) check(succeeded map[string]bool) {
	a.t.Helper()
	found := map[string]bool{}
	last := map[string]uint64{}
	for partition := range a.k.Partitions {
		for _, m := range kafkaMessages(a.t, a.k, eventlog.TopicEvents, partition) {
			r := eventlog.DecodeRecord(rawFromKafka(m), a.k.Partitions)
			if r.Malformed != nil || r.Unreadable != nil {
				a.t.Fatal(r.Malformed, r.Unreadable)
			}
			switch {
			case found[r.CommandID]:
				a.t.Errorf("%s: twice in the log", r.CommandID)
			case r.Seq < last[r.Stream]:
				a.t.Errorf("%s: behind record %d of its stream in the log", r.CommandID, last[r.Stream])
			}
			found[r.CommandID], last[r.Stream] = true, r.Seq
		}
	}
	for id := range succeeded {
		if !found[id] {
			a.t.Errorf("%s: appended, and not in the log", id)
		}
	}
	select {
	case again := <-a.told:
		a.t.Errorf("%s: second callback", again.record.CommandID)
	default:
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	a := newAppends(t, newLog(t))
	a.send(50, 100)
	a.check(a.all())
}

// After an error, or without an answer, the client tries again. The log has each
// record once, in order.
func TestAppendThroughFaults(t *testing.T) {
	t.Parallel()
	// every returns a condition for some requests of many.
	every := func(n int) func(kmsg.Request) bool {
		seen := map[kmsg.Request]bool{}
		count := 0
		return func(r kmsg.Request) bool {
			if _, asked := seen[r]; !asked {
				count++
				seen[r] = count%n == 0
			}
			return seen[r]
		}
	}
	tests := map[string]func(*kfake.Cluster, *cutting){
		"answered with an error when it is written": func(c *kfake.Cluster, _ *cutting) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: -1, When: every(3)})
		},
		"cut off when it is written": func(c *kfake.Cluster, l *cutting) {
			when := every(3)
			c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				l.next.Store(when(r))
				return nil, nil, false
			})
		},
		"cut off before": func(c *kfake.Cluster, _ *cutting) {
			when := every(3)
			c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.KeepControl()
				return nil, errors.New("cut off"), when(r)
			})
		},
		"no leader": func(c *kfake.Cluster, _ *cutting) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: -1, When: every(3)})
		},
		"no leader in one partition": func(c *kfake.Cluster, _ *cutting) {
			c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Partitions: []int32{2}, Err: kerr.NotLeaderForPartition, Count: 5, When: every(2)})
		},
		"slow": func(c *kfake.Cluster, _ *cutting) {
			c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				c.SleepControl(func() { time.Sleep(20 * time.Millisecond) })
				return nil, nil, false
			})
		},
	}
	for name, inject := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			listener := &cutting{}
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, eventlog.TopicEvents), kfake.ListenFn(listener.listen))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cluster.Close)
			var requests atomic.Int64
			cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
				requests.Add(1)
				if produce, ok := r.(*kmsg.ProduceRequest); !ok || produce.Acks != -1 {
					t.Error("asks for other acks than those of all in-sync replicas")
				}
				return nil, nil, false
			})
			inject(cluster, listener)
			a := newAppends(t, &Kafka{Brokers: cluster.ListenAddrs(), Partitions: partitions, Log: quiet})
			for round := range int64(10) { // one request per record, with other requests on the way
				a.send(20, 10)
				eventually(t, "a request", func() bool { return requests.Load() > round })
			}
			a.check(a.all())
		})
	}
}

// cutting is a listener that can cut connections off instead of answering.
type cutting struct {
	net.Listener
	next atomic.Bool // cut the connection at the next answer
	cuts atomic.Int64
}

func (l *cutting) listen(network, address string) (net.Listener, error) {
	listener, err := net.Listen(network, address)
	l.Listener = listener
	return l, err
}

func (l *cutting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return cuttable{conn, l}, err
}

type cuttable struct {
	net.Conn
	by *cutting
}

func (c cuttable) Write(answer []byte) (int, error) {
	if c.by.next.CompareAndSwap(true, false) {
		c.by.cuts.Add(1)
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(answer)
}

// The broker stops, and starts again before the client gives up.
func TestAppendWhileBrokerIsAway(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	a := newAppends(t, e.Kafka)
	a.send(20, 5)
	e.stop(t)
	a.send(20, 5)
	e.start(t)
	a.send(20, 5)
	a.check(a.all())
}

// The broker stops for longer than the client tries. Each callback is called, and
// with the broker back the client goes on.
func TestAppendWhileBrokerIsGone(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	a := newAppends(t, e.Kafka)
	a.send(20, 5)
	before, _ := a.results()
	e.stop(t)
	a.send(20, 5)
	if succeeded, _ := a.results(); len(succeeded) > 0 {
		t.Errorf("%d succeeded with no broker", len(succeeded))
	}
	e.start(t)
	eventually(t, "an append of each stream", func() bool {
		a.send(20, 1)
		succeeded, failed := a.results()
		maps.Copy(before, succeeded)
		return len(failed) == 0
	})
	a.check(before)
}

// After Close all callbacks have been called, with or without a broker.
func TestEventBusClose(t *testing.T) {
	t.Parallel()
	for _, gone := range []bool{false, true} {
		t.Run(fmt.Sprintf("gone=%v", gone), func(t *testing.T) {
			t.Parallel()
			e := newEmbedded(t)
			ensureTopics(t, e.Kafka)
			a := newAppends(t, e.Kafka)
			if gone {
				e.stop(t)
			}
			a.send(20, 5)
			closed := make(chan error, 1)
			go func() { closed <- a.bus.Close() }()
			if err := receive(t, closed, "the event bus to close"); err != nil && !gone {
				t.Error(err)
			}
			if len(a.told) != a.sent {
				t.Errorf("closed with %d of %d callbacks", len(a.told), a.sent)
			}
			if succeeded, failed := a.results(); gone && len(succeeded) > 0 || !gone && len(failed) > 0 {
				t.Errorf("%d succeeded, %d failed", len(succeeded), len(failed))
			}
			a.send(1, 1)
			if succeeded, _ := a.results(); len(succeeded) > 0 {
				t.Error("appended by a closed bus")
			}
		})
	}
}

// Bodies have up to 64 KiB, and messages may have headers of other programs.
func TestAppendLargeBody(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	r := newRecord("user/1", 1)
	r.Body = []byte(`"` + strings.Repeat("ë", 32<<10) + `"`)
	r.Seal()
	appendAll(t, k, r)
	log, err := k.LogReader()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, log)
	read, err := log.At(t.Context(), eventlog.PartitionOf("user/1", partitions), 0)
	if err != nil {
		t.Fatal(err)
	}
	if read.Digest != r.Digest || string(read.Body) != string(r.Body) {
		t.Errorf("%d bytes were appended, and %d others read", len(r.Body), len(read.Body))
	}
}

// The callback of a record is called if Publish fails too.
func TestAppendWithoutStream(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	bus, err := k.EventBus()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, bus)
	told := make(chan error, 2)
	bus.Append(newRecord("", 1), func(err error) { told <- err })
	if err := receive(t, told, "an append's result"); err == nil {
		t.Error("appended to no stream")
	}
}
