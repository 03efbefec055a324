package kafka

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/router/eventlog"
)

// failing is a handler that fails, and counts its messages.
func failing(n *atomic.Int64) message.NoPublishHandlerFunc {
	return func(*message.Message) error {
		n.Add(1)
		return errors.New("the dead letters are away")
	}
}

// A message that fails again and again keeps no other member out of the group:
// once the assignment has ended, the message is dropped, and comes to the next
// owner.
func TestSessionEndsDespiteNacks(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	for partition := range k.Partitions {
		messagesIn(t, k, eventlog.TopicCommands, partition, 2)
	}
	a, b := &assignee{}, &assignee{}
	var failed atomic.Int64
	join(t, k, eventlog.TopicCommands, a, failing(&failed))
	eventually(t, "all partitions fail", func() bool { return failed.Load() >= 2*partitions })
	second := join(t, k, eventlog.TopicCommands, b, nil)
	eventually(t, "half each", func() bool { return a.assignments() == partitions/2 && b.assignments() == partitions/2 })
	next := map[int32]int64{}
	for range partitions {
		at := second.next(t)
		if at.Offset != next[at.Partition] {
			t.Errorf("%v comes to the next owner, want offset %d", at, next[at.Partition])
		}
		next[at.Partition]++
	}
}

// Close doesn't wait for a message that fails again and again.
func TestCloseDespiteNacks(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 2)
	var failed atomic.Int64
	m := join(t, k, eventlog.TopicCommands, &assignee{}, failing(&failed))
	eventually(t, "the message has failed twice", func() bool { return failed.Load() >= 2 })
	began := time.Now()
	m.leave(t)
	if took := time.Since(began); took > patience/2 {
		t.Errorf("it took %s", took)
	}
	if got := committed(t, k, k.Prefix+testGroup, eventlog.TopicCommands); len(got) > 0 {
		t.Errorf("marked %v", got)
	}
}

// A broker that refuses the group is asked again after growing pauses, and Ready
// returns the reason.
func TestGroupRefused(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	refusal := e.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	m := join(t, e.Kafka, eventlog.TopicCommands, &assignee{}, nil)
	eventually(t, "refused three times", func() bool { return refusal.Hits() >= 3 })
	before, began := refusal.Hits(), time.Now()
	time.Sleep(time.Second)
	if n, pauses := refusal.Hits()-before, int(time.Since(began)/(400*time.Millisecond)); n > pauses+1 {
		t.Errorf("asked %d times in %s", n, time.Since(began))
	}
	if err := m.Ready(); err == nil || errors.Is(err, errNoAssignments) {
		t.Errorf("not ready, because: %v", err)
	}
	refusal.Remove()
	eventually(t, "ready", func() bool { return m.Ready() == nil })
}
