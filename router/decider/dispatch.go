package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/observe"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/logging"
)

// DrainTimeout bounds the wait for commands under way when the group revokes a
// partition, or the service stops.
const DrainTimeout = 5 * time.Second

// Dispatcher brings the commands from Watermill's router to the partition
// processors. All handlers share one subscription: with a subscription for each
// handler, a command could overtake an earlier command of another type.
type Dispatcher struct {
	Kafka  *kafka.Kafka
	States *StateStore
	// TopicID returns the id of topic commands. A topic that is deleted and
	// created again has another id, and its offsets begin again.
	TopicID func(context.Context) (string, error)
	// Append sends a record to the log, returns at once, and calls delivered
	// when the producer knows whether Kafka holds the record.
	Append func(r *eventlog.Record, delivered func(error))
	Log    *slog.Logger
	// Meter counts commands and outcomes; [observe.Unmetered] by default.
	Meter observe.Meter
	// Tracer, if not nil, traces commands.
	Tracer observe.Tracer
	// Commands, if not nil, is topic commands. An assignment of a topic of
	// which the log has no record starts at the oldest command, because the
	// group's offset may be of an earlier topic with the same name.
	Commands CommandLog

	mu        sync.Mutex
	session   context.Context // of the assignments
	topicID   string          // of topic commands, as read in the session
	mailboxes map[int32]*mailbox

	unknown logging.Sampler // of commands of unknown types
}

// NewDispatcher returns a dispatcher without partitions.
func NewDispatcher(kafka *kafka.Kafka, topicID func(context.Context) (string, error), states *StateStore, send func(*eventlog.Record, func(error)), log *slog.Logger) *Dispatcher {
	return &Dispatcher{
		Kafka: kafka, TopicID: topicID, States: states, Append: send, Log: log, Meter: observe.Unmetered{},
		mailboxes: map[int32]*mailbox{},
	}
}

// Setup implements [kafka.AssignmentHandler]. Before a partition's first command,
// the state store folds the partition to its end. The assignment starts at the
// group's committed offset, or at the oldest command if the log has no record
// of this topic; the state store knows which commands are decided.
func (d *Dispatcher) Setup(assignment *kafka.Assignment) (int64, error) {
	if err := d.States.CatchUp(assignment.Context, assignment.Partition); err != nil {
		return 0, err
	}
	topicID, err := d.topicOf(assignment.Context)
	if err != nil {
		return 0, err
	}
	start := kafka.Committed
	if d.Commands != nil && d.States.LastDecided(assignment.Partition, topicID) < 0 {
		if start, _, err = d.Commands.Range(assignment.Context, assignment.Partition); err != nil {
			return 0, err
		}
	}
	c := newAssigned(assignment, topicID, d.Append)
	c.meter, c.tracer = d.Meter, d.Tracer
	processor := d.States.processors[assignment.Partition]
	if err := processor.assign(c); err != nil {
		processor.broken(err)
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mailboxes[assignment.Partition] = newMailbox(processor, c)
	return start, nil
}

// topicOf returns the id of topic commands, read once for each session.
func (d *Dispatcher) topicOf(session context.Context) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.session != session {
		id, err := d.TopicID(session)
		if err != nil {
			return "", err
		}
		d.session, d.topicID = session, id
	}
	return d.topicID, nil
}

// Cleanup implements [kafka.AssignmentHandler].
func (d *Dispatcher) Cleanup(assignment *kafka.Assignment) {
	d.mu.Lock()
	mailbox := d.mailboxes[assignment.Partition]
	delete(d.mailboxes, assignment.Partition)
	d.mu.Unlock()
	if mailbox == nil {
		return
	}
	// The assignment's own context has ended, and the group waits for this.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(assignment.Context), DrainTimeout)
	defer cancel()
	if left := mailbox.close(ctx); left > 0 {
		d.Log.Warn("released a partition with commands under way; the next owner will decide these commands", "partition", assignment.Partition, "commands", left)
	}
}

// Register adds the handler of all commands to a router. A message that nobody
// can decode goes to the dead letters.
func (d *Dispatcher) Register(router *message.Router, subscriber message.Subscriber, deadLetters message.Publisher) error {
	poison, err := middleware.PoisonQueueWithFilter(deadLetters, d.Kafka.Topic(eventlog.TopicDeadLetters), undecodable)
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	router.AddMiddleware(d.skipDead, poison, middleware.Recoverer)

	processor, err := cqrs.NewCommandProcessorWithConfig(router, cqrs.CommandProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.CommandProcessorGenerateSubscribeTopicParams) (string, error) {
			return d.Kafka.Topic(eventlog.TopicCommands), nil
		},
		SubscriberConstructor: func(cqrs.CommandProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return subscriber, nil
		},
		Marshaler: kafka.CommandMarshaler{Partitions: d.Kafka.Partitions},
		Logger:    kafka.WatermillLog(d.Log),
	})
	if err != nil {
		return fmt.Errorf("command processor: %w", err)
	}
	if err := processor.AddHandlers(cqrs.NewCommandHandler("commands", d.handle)); err != nil {
		return fmt.Errorf("command processor: %w", err)
	}
	return nil
}

// handle reads a command and hands the command over. An error is
// [kafka.ErrUndecodable].
func (d *Dispatcher) handle(_ context.Context, envelope *eventlog.Envelope) error {
	if envelope.Stream == "" { // a filler
		d.Take(*envelope, nil)
		return nil
	}
	command, err := readCommand(d.States.registry, envelope)
	if err != nil {
		return err
	}
	if _, unknown := command.(unknownCommand); unknown {
		d.unknown.Warn(d.Log, "queued a command of a type that this binary doesn't know", "type", envelope.Type, "stream", envelope.Stream, "command", envelope.ID, "partition", envelope.Partition, "offset", envelope.Offset)
	}
	d.Take(*envelope, command)
	return nil
}

// Take hands a command to the processor of its partition. A nil command is a
// dead letter or a filler, and only keeps its turn. Take drops commands of
// partitions that this process no longer has: these are not marked, and come
// again to the next owner.
func (d *Dispatcher) Take(envelope eventlog.Envelope, command aggregate.AnyCommand) {
	d.mu.Lock()
	mailbox := d.mailboxes[envelope.Partition]
	d.mu.Unlock()
	if mailbox != nil {
		mailbox.put(envelope, command)
	}
}

// skipDead keeps the turn of a message that went to the dead letters. A message
// that an operator has sent again still has the header with the old reason.
func (d *Dispatcher) skipDead(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		delete(msg.Metadata, middleware.ReasonForPoisonedKey)
		out, err := next(msg)
		if reason := msg.Metadata.Get(middleware.ReasonForPoisonedKey); err == nil && reason != "" {
			d.Meter.DeadLettered()
			at := kafka.PlaceOf(msg)
			d.Log.Warn("put a message that can't be decoded into the dead letters", "partition", at.Partition, "offset", at.Offset, "reason", eventlog.Bounded(reason, maxReason))
			d.Take(eventlog.Envelope{Partition: at.Partition, Offset: at.Offset}, nil)
		}
		return out, err
	}
}

// undecodable reports whether an error says that every try to decode the
// message will fail.
func undecodable(err error) bool {
	var panicked middleware.RecoveredPanicError
	return errors.Is(err, kafka.ErrUndecodable) || errors.As(err, &panicked)
}

// CommandLog is topic commands.
type CommandLog interface {
	// Range returns the offset of a partition's first command, and the offset
	// after the last command.
	Range(ctx context.Context, partition int32) (first, end int64, err error)
}

// Ready waits until all commands that the partitions of this process have now
// are decided, or the context ends. The error says why commands wait.
func (d *Dispatcher) Ready(ctx context.Context, commands CommandLog) error {
	for partition, mailbox := range d.assignments() {
		first, target, err := commands.Range(ctx, partition)
		if err != nil {
			return err
		}
		done := mailbox.assigned.assignment.Done()
		if first < target && !done.Await(ctx, target) {
			return fmt.Errorf("partition %d of the commands is decided up to offset %d of %d", partition, max(done.Next(), 0), target)
		}
	}
	return nil
}

// assignments are the mailboxes of the assigned partitions.
func (d *Dispatcher) assignments() map[int32]*mailbox {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.mailboxes)
}

// mailbox brings an assignment's commands to the partition processor, on a
// goroutine of its own: a decision needs a deep stack. Watermill starts a
// goroutine for each message, and the stack of each would have to grow.
type mailbox struct {
	processor *processor
	assigned  *assigned
	came      chan arrival
	ended     chan struct{}
}

// arrival is a command that came, with the parameters of [processor.take].
type arrival struct {
	envelope eventlog.Envelope
	command  aggregate.AnyCommand
}

func newMailbox(p *processor, c *assigned) *mailbox {
	m := &mailbox{processor: p, assigned: c, came: make(chan arrival), ended: make(chan struct{})}
	go m.run()
	return m
}

// run ends with the assignment. Commands that run doesn't take then are not
// marked.
func (m *mailbox) run() {
	defer close(m.ended)
	gone := m.assigned.assignment.Context.Done()
	clock := time.NewTicker(lookEvery)
	defer clock.Stop()
	for {
		select {
		case <-clock.C:
			if err := m.processor.look(m.assigned); err != nil {
				m.processor.brokenDown(m.assigned, err)
				return
			}
		case a := <-m.came:
			m.processor.take(m.assigned, a.envelope, a.command)
		case <-gone:
			return
		}
	}
}

// put hands a command over, and waits while the processor is full.
func (m *mailbox) put(envelope eventlog.Envelope, command aggregate.AnyCommand) {
	select {
	case m.came <- arrival{envelope, command}:
	case <-m.ended:
	}
}

// close waits until the mailbox has ended, and then for the commands under way
// until the context ends. The result counts the commands that are left.
func (m *mailbox) close(ctx context.Context) (left int) {
	<-m.ended
	return m.processor.close(ctx, m.assigned)
}
