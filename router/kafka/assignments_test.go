package kafka

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/router/eventlog"
)

// No partition has a message before Setup has returned. The member stays in the
// group meanwhile.
func TestSetupHoldsBack(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 1)
	messagesIn(t, k, eventlog.TopicCommands, 2, 1)
	release := make(chan struct{})
	c := &assignee{setup: func(assignment *Assignment) (int64, error) {
		if assignment.Partition == 1 {
			<-release
		}
		return Committed, nil
	}}
	m := join(t, k, eventlog.TopicCommands, c, nil)
	eventually(t, "set up", func() bool { return c.setups.Load() == partitions })
	select {
	case at := <-m.places:
		t.Errorf("%v came before the setup", at)
	case <-time.After(700 * time.Millisecond): // longer than the interval of heartbeats
	}
	if m.Ready() == nil {
		t.Error("ready before the setup")
	}
	close(release)
	got := []Place{m.next(t), m.next(t)}
	if !slices.Contains(got, Place{1, 0}) || !slices.Contains(got, Place{2, 0}) {
		t.Errorf("%v came", got)
	}
	if n := c.setups.Load(); n != partitions {
		t.Errorf("set up %d times, want once for each of %d partitions", n, partitions)
	}
}

// After Abandon all assignments of the member are set up anew.
func TestAbandon(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 3)
	c := &assignee{}
	m := join(t, k, eventlog.TopicCommands, c, func(*message.Message) error { return nil })
	m.next(t)
	first := c.assignment(1)
	first.Abandon()
	first.Abandon() // a second call does nothing
	eventually(t, "assigned anew", func() bool {
		assignment := c.assignment(1)
		return assignment != nil && assignment != first
	})
	if first.Context.Err() == nil {
		t.Error("abandoned, and the context has not ended")
	}
	// Without marks all messages come again.
	eventually(t, "from the start", func() bool { return m.next(t) == Place{1, 0} })
	eventually(t, "to the end", func() bool { return m.next(t) == Place{1, 2} })
	if setups, cleanups := c.setups.Load(), c.cleanups.Load(); setups != 2*partitions || cleanups != partitions {
		t.Errorf("%d setups and %d cleanups, want 12 and 6", setups, cleanups)
	}
}

// An abandoned assignment waits for the message at the handler.
func TestAbandonAtWork(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 3)
	c := &assignee{}
	arrived, release := make(chan Place, 10), make(chan struct{})
	m := join(t, k, eventlog.TopicCommands, c, func(msg *message.Message) error {
		arrived <- PlaceOf(msg)
		<-release
		return nil
	})
	receive(t, arrived, "a message")
	first := c.assignment(1)
	first.Abandon()
	if c.cleanups.Load() > 0 {
		t.Error("cleaned up with a message at work")
	}
	close(release)
	eventually(t, "assigned anew", func() bool {
		assignment := c.assignment(1)
		return assignment != nil && assignment != first
	})
	eventually(t, "to the end", func() bool { return m.next(t) == Place{1, 2} })
}

// A failed Setup is tried again with growing pauses, and Ready returns the
// error. Other members of the group keep their assignments.
func TestSetupFails(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	other := &assignee{}
	join(t, k, eventlog.TopicCommands, other, nil)
	eventually(t, "the other has all partitions", func() bool { return other.assignments() == partitions })

	down := errors.New("the store is away")
	var mu sync.Mutex
	failing := true
	tries := map[int32][]time.Time{}
	c := &assignee{setup: func(assignment *Assignment) (int64, error) {
		mu.Lock()
		defer mu.Unlock()
		tries[assignment.Partition] = append(tries[assignment.Partition], time.Now())
		if failing {
			return 0, down
		}
		return Committed, nil
	}}
	m := join(t, k, eventlog.TopicCommands, c, nil)
	eventually(t, "tried four times", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, at := range tries {
			if len(at) == 4 {
				failing = false
			}
		}
		return !failing
	})
	if err := m.Ready(); !errors.Is(err, down) || !strings.Contains(err.Error(), "partition ") {
		t.Errorf("not ready, because: %v", err)
	}
	eventually(t, "ready", func() bool { return m.Ready() == nil && c.assignments() == partitions/2 })
	mu.Lock()
	for partition, at := range tries {
		for i := range len(at) - 1 {
			if wait := at[i+1].Sub(at[i]); wait < 100*time.Millisecond<<i {
				t.Errorf("partition %d: tried again after %v", partition, wait)
			}
		}
	}
	mu.Unlock()
	if n := other.setups.Load(); n != partitions+partitions/2 {
		t.Errorf("the other member was set up %d times, want once for its 6 partitions, and for the 3 it kept", n)
	}
	for partition := range k.Partitions {
		messagesIn(t, k, eventlog.TopicCommands, partition, 1)
	}
	for range partitions / 2 {
		m.next(t)
	}
	m.leave(t)
	if n := c.cleanups.Load(); n != partitions/2 {
		t.Errorf("%d cleanups of 3 partitions", n)
	}
}

// A member without partitions is ready, because such a member can take over.
func TestMemberWithoutPartitions(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	k.Partitions = 1
	ensureTopics(t, k)
	a, b := &assignee{}, &assignee{}
	first := join(t, k, eventlog.TopicCommands, a, nil)
	eventually(t, "the first is ready", func() bool { return first.Ready() == nil })
	second := join(t, k, eventlog.TopicCommands, b, nil)
	eventually(t, "both are ready", func() bool {
		return first.Ready() == nil && second.Ready() == nil && a.assignments()+b.assignments() == 1
	})
	busy, idle := first, second
	if b.assignments() == 1 {
		busy, idle = second, first
	}
	busy.leave(t)
	messagesIn(t, k, eventlog.TopicCommands, 0, 1)
	idle.next(t)
}

// Two members share the partitions. After one member has left, the other member
// has all partitions and goes on from the marks.
func TestMembersShare(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	var mu sync.Mutex
	handled := map[Place]int{}
	marking := func(c *assignee) message.NoPublishHandlerFunc {
		return func(msg *message.Message) error {
			at := PlaceOf(msg)
			mu.Lock()
			handled[at]++
			mu.Unlock()
			if assignment := c.assignment(at.Partition); assignment != nil {
				assignment.Mark(at.Offset + 1)
			}
			return nil
		}
	}
	all := func(n int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(handled) == n
		}
	}
	a, b := &assignee{}, &assignee{}
	join(t, k, eventlog.TopicCommands, a, marking(a))
	eventually(t, "the first member has all", func() bool { return a.assignments() == partitions })
	for partition := range k.Partitions {
		messagesIn(t, k, eventlog.TopicCommands, partition, 2)
	}
	eventually(t, "all are handled by the first", all(2*partitions))

	second := join(t, k, eventlog.TopicCommands, b, marking(b))
	eventually(t, "half each", func() bool { return a.assignments() == partitions/2 && b.assignments() == partitions/2 })
	for partition := range k.Partitions {
		if (a.assignment(partition) == nil) == (b.assignment(partition) == nil) {
			t.Errorf("partition %d is not with one of them", partition)
		}
		messagesIn(t, k, eventlog.TopicCommands, partition, 2)
	}
	eventually(t, "all are handled by both", all(4*partitions))
	if len(second.places) == 0 {
		t.Error("the second member handled nothing")
	}

	second.leave(t)
	eventually(t, "the first member has all again", func() bool { return a.assignments() == partitions })
	for partition := range k.Partitions {
		messagesIn(t, k, eventlog.TopicCommands, partition, 2)
	}
	eventually(t, "all are handled by the one left", all(6*partitions))
	mu.Lock()
	defer mu.Unlock()
	if again := slices.DeleteFunc(slices.Collect(maps.Values(handled)), func(n int) bool { return n == 1 }); len(again) > 0 {
		t.Errorf("%d messages came again, though they were marked", len(again))
	}
}

// A member loses the session while a message is at the handler. The assignment's
// context ends at once, and Ready fails, though the handler hangs.
func TestSessionLostAtWork(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	messagesIn(t, e.Kafka, eventlog.TopicCommands, 1, 2)
	c := &assignee{}
	arrived, release := make(chan Place, 10), make(chan struct{})
	m := join(t, e.Kafka, eventlog.TopicCommands, c, func(msg *message.Message) error {
		arrived <- PlaceOf(msg)
		<-release
		return nil
	})
	receive(t, arrived, "a message")
	lost := c.assignment(1)
	e.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.UnknownMemberID})
	receive(t, lost.Context.Done(), "the end of the assignment")
	if m.Ready() == nil {
		t.Error("ready without its partitions")
	}
	if c.cleanups.Load() > 0 {
		t.Error("cleaned up with a message at work")
	}
	close(release)
	eventually(t, "assigned anew", func() bool {
		assignment := c.assignment(1)
		return assignment != nil && assignment != lost
	})
	eventually(t, "it came again, and the next", func() bool { return m.next(t) == Place{1, 1} })
	if err := m.Ready(); err != nil {
		t.Errorf("at work, and not ready: %v", err)
	}
}

// Partitions beyond the configured number belong to no stream.
func TestAssignmentBeyondPartitions(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	createTopic(t, k, eventlog.TopicCommands, partitions+1, 1, nil)
	c := &assignee{setup: func(assignment *Assignment) (int64, error) {
		if assignment.Partition >= partitions {
			t.Errorf("partition %d is set up", assignment.Partition)
		}
		return Committed, nil
	}}
	m := join(t, k, eventlog.TopicCommands, c, nil)
	eventually(t, "it says what is wrong", func() bool { return errors.Is(m.Ready(), ErrTopic) })
	if err := m.Ready(); !strings.Contains(err.Error(), "partitions") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q", err)
	}
}
