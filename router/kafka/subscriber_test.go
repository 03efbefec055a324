package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

const testGroup = "group"

// assignee is an AssignmentHandler for tests.
type assignee struct {
	// setup and cleanup, if not nil, run first.
	setup   func(*Assignment) (int64, error)
	cleanup func(*Assignment)

	setups, cleanups atomic.Int64

	mu      sync.Mutex
	current map[int32]*Assignment
}

func (c *assignee) Setup(assignment *Assignment) (start int64, err error) {
	c.setups.Add(1)
	start = Committed
	if c.setup != nil {
		start, err = c.setup(assignment)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		if c.current == nil {
			c.current = map[int32]*Assignment{}
		}
		c.current[assignment.Partition] = assignment
	}
	return start, err
}

func (c *assignee) Cleanup(assignment *Assignment) {
	c.cleanups.Add(1)
	if c.cleanup != nil {
		c.cleanup(assignment)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.current, assignment.Partition)
}

// assignment returns the present assignment of a partition, or nil.
func (c *assignee) assignment(partition int32) *Assignment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current[partition]
}

func (c *assignee) assignments() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.current)
}

// member is one process in a consumer group: a subscription behind Watermill's
// router, as in a service.
type member struct {
	*assignee
	*Subscription
	router *message.Router
	places chan Place
	close  sync.Once
}

// join starts a member. The places of handled messages go to member.places; the
// function handle, if not nil, runs first.
func join(t *testing.T, k *Kafka, topic string, c *assignee, handle message.NoPublishHandlerFunc, middleware ...message.HandlerMiddleware) *member {
	t.Helper()
	return joinAs(t, k, testGroup, topic, c, handle, middleware...)
}

func joinAs(t *testing.T, k *Kafka, group, topic string, c *assignee, handle message.NoPublishHandlerFunc, middleware ...message.HandlerMiddleware) *member {
	t.Helper()
	subscription := k.CommandSubscription(k.Prefix+group, c, patience)
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: patience}, WatermillLog(quiet))
	if err != nil {
		t.Fatal(err)
	}
	m := &member{assignee: c, Subscription: subscription, router: router, places: make(chan Place, 1<<16)}
	router.AddMiddleware(middleware...)
	router.AddConsumerHandler(topic, k.Topic(topic), subscription, func(msg *message.Message) error {
		at := PlaceOf(msg)
		if handle != nil {
			if err := handle(msg); err != nil {
				return err
			}
		}
		m.places <- at
		return nil
	})
	ran := make(chan error, 1)
	go func() { ran <- router.Run(context.WithoutCancel(t.Context())) }()
	receive(t, router.Running(), "the router")
	t.Cleanup(func() {
		m.leave(t)
		if err := receive(t, ran, "the router to end"); err != nil {
			t.Error(err)
		}
	})
	return m
}

// leave stops a member.
func (m *member) leave(t *testing.T) {
	t.Helper()
	m.close.Do(func() {
		if err := errors.Join(m.router.Close(), m.Subscription.Close()); err != nil {
			t.Errorf("leave: %v", err)
		}
	})
}

func (m *member) next(t *testing.T) Place {
	t.Helper()
	return receive(t, m.places, "a message")
}

// messagesIn writes n messages into a partition.
func messagesIn(t *testing.T, k *Kafka, topic string, partition int32, n int) {
	t.Helper()
	var messages []*sarama.ProducerMessage
	for i := range n {
		messages = append(messages, &sarama.ProducerMessage{Topic: k.Topic(topic), Partition: partition, Value: sarama.StringEncoder(fmt.Sprint(i))})
	}
	produce(t, k, messages...)
}

// The messages of a partition come in order, one at a time. A failed message
// comes again before the next.
func TestSubscriptionOrder(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	const n = 50
	for partition := range k.Partitions {
		messagesIn(t, k, eventlog.TopicCommands, partition, n)
	}
	var mu sync.Mutex
	atWork := map[int32]bool{}
	next := map[int32]int64{}
	failed := map[Place]bool{}
	m := join(t, k, eventlog.TopicCommands, &assignee{}, func(msg *message.Message) error {
		at := PlaceOf(msg)
		mu.Lock()
		if atWork[at.Partition] {
			t.Errorf("%v comes while another is at work", at)
		}
		atWork[at.Partition] = true
		mu.Unlock()
		defer func() {
			mu.Lock()
			atWork[at.Partition] = false
			mu.Unlock()
		}()
		mu.Lock()
		defer mu.Unlock()
		if at.Offset != next[at.Partition] {
			t.Errorf("%v comes, want offset %d", at, next[at.Partition])
		}
		if at.Offset%20 == 7 && !failed[at] {
			failed[at] = true
			return errors.New("try again")
		}
		next[at.Partition] = at.Offset + 1
		return nil
	})
	for range n * k.Partitions {
		m.next(t)
	}
	if len(failed) != 3*partitions {
		t.Errorf("%d messages failed: this tests nothing", len(failed))
	}
}

// Subscribe waits for stopped brokers.
func TestSubscriptionBeforeTheBroker(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	e.stop(t)
	m := join(t, e.Kafka, eventlog.TopicCommands, &assignee{}, nil)
	eventually(t, "it says why it is not ready", func() bool {
		err := m.Ready()
		return err != nil && strings.Contains(err.Error(), "connection refused")
	})
	e.start(t)
	eventually(t, "ready", func() bool { return m.Ready() == nil })
}

// During Close the context of a message at the handler stays alive, and the
// handler's mark counts.
func TestSubscriptionCloseDrains(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 10)
	c := &assignee{}
	arrived, release := make(chan *message.Message, 10), make(chan struct{})
	m := join(t, k, eventlog.TopicCommands, c, func(msg *message.Message) error {
		arrived <- msg
		<-release
		c.assignment(1).Mark(PlaceOf(msg).Offset + 1)
		return msg.Context().Err()
	})
	msg := receive(t, arrived, "a message")
	if err := m.Ready(); err != nil {
		t.Errorf("at work, and not ready: %v", err)
	}
	left := make(chan struct{})
	go func() {
		defer close(left)
		m.leave(t)
	}()
	receive(t, m.accepting.Done(), "closing")
	select {
	case <-left:
		t.Error("closed with a message at work")
	case <-msg.Context().Done():
		t.Error("the context of a message at work has ended")
	case <-arrived:
		t.Error("another message came")
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	select {
	case <-left:
	case <-time.After(patience):
		t.Fatal("never closed")
	}
	if at := m.next(t); at != (Place{1, 0}) || len(m.places) > 0 {
		t.Errorf("handled %v and %d more, want the one at work", at, len(m.places))
	}
	if diff := cmp.Diff(eventlog.Position{1: 1}, committed(t, k, k.Prefix+testGroup, eventlog.TopicCommands)); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
	if m.Ready() == nil {
		t.Error("ready when closed")
	}
	if m.cleanups.Load() != m.setups.Load() {
		t.Errorf("%d setups, %d cleanups", m.setups.Load(), m.cleanups.Load())
	}
}

// Close doesn't wait for ever for a handler.
func TestSubscriptionCloseIsBounded(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 1)
	s := k.CommandSubscription(k.Prefix+testGroup, &assignee{}, 50*time.Millisecond)
	messages, err := s.Subscribe(t.Context(), k.Topic(eventlog.TopicCommands))
	if err != nil {
		t.Fatal(err)
	}
	msg := receive(t, messages, "a message")
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	if err := receive(t, closed, "the subscription to close"); err != nil {
		t.Error(err)
	}
	select {
	case <-msg.Context().Done():
	default:
		t.Error("closed, and the message's context lives on")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

// Close doesn't wait for a stopped broker, nor for Setup: the assignment's
// context ends.
func TestSubscriptionCloseWithoutWork(t *testing.T) {
	t.Parallel()
	t.Run("broker gone", func(t *testing.T) {
		t.Parallel()
		e := newEmbedded(t)
		ensureTopics(t, e.Kafka)
		m := join(t, e.Kafka, eventlog.TopicCommands, &assignee{}, nil)
		eventually(t, "ready", func() bool { return m.Ready() == nil })
		e.stop(t)
		m.leave(t)
	})
	t.Run("broker never there", func(t *testing.T) {
		t.Parallel()
		k := &Kafka{Brokers: []string{refusing}, Partitions: partitions, Log: quiet}
		m := join(t, k, eventlog.TopicCommands, &assignee{}, nil)
		eventually(t, "it has tried", func() bool { return strings.Contains(m.Ready().Error(), "refused") })
		m.leave(t)
	})
	t.Run("setup fails", func(t *testing.T) {
		t.Parallel()
		c := &assignee{setup: func(*Assignment) (int64, error) { return 0, errors.New("the store is away") }}
		m := join(t, newLog(t), eventlog.TopicCommands, c, nil)
		eventually(t, "in setup", func() bool { return c.setups.Load() > 0 })
		m.leave(t)
	})
	t.Run("in setup", func(t *testing.T) {
		t.Parallel()
		k := newLog(t)
		c := &assignee{setup: func(assignment *Assignment) (int64, error) {
			<-assignment.Context.Done()
			return 0, assignment.Context.Err()
		}}
		m := join(t, k, eventlog.TopicCommands, c, nil)
		eventually(t, "in setup", func() bool { return c.setups.Load() == partitions })
		m.leave(t)
	})
}

// The broker stops and starts again. Ready fails meanwhile, and the member goes
// on from its marks.
func TestSubscriptionThroughRestart(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	messagesIn(t, e.Kafka, eventlog.TopicCommands, 1, 2)
	c := &assignee{}
	m := join(t, e.Kafka, eventlog.TopicCommands, c, func(msg *message.Message) error {
		c.assignment(1).Mark(PlaceOf(msg).Offset + 1)
		return nil
	})
	for want := range int64(2) {
		if at := m.next(t); at != (Place{1, want}) {
			t.Errorf("%v came, want offset %d", at, want)
		}
	}
	eventually(t, "marked", func() bool { return committed(t, e.Kafka, testGroup, eventlog.TopicCommands)[1] == 2 })
	e.stop(t)
	eventually(t, "not ready without a broker, and it says why", func() bool {
		err := m.Ready()
		return err != nil && strings.Contains(err.Error(), "refused")
	})
	e.start(t)
	messagesIn(t, e.Kafka, eventlog.TopicCommands, 1, 1)
	if at := m.next(t); at != (Place{1, 2}) {
		t.Errorf("%v came, want offset 2", at)
	}
	if err := m.Ready(); err != nil {
		t.Errorf("at work, and not ready: %v", err)
	}
}
