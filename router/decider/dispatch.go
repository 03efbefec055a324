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
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// DrainTimeout bounds the wait for commands under way when a partition goes,
// or the service stops.
const DrainTimeout = 5 * time.Second

// Dispatcher takes the commands that Watermill's router brings to the desks
// of their partitions. All handlers share one
// subscription: with one each, a rename could overtake its create.
type Dispatcher struct {
	Kafka  *kafka.Kafka
	States *StateStore
	// TopicID is asked for the id of topic commands: it may be made anew
	// while this runs, and counts anew then.
	TopicID func(context.Context) (string, error)
	// Append sends a record to the log, returns at once, and calls delivered
	// when it is known whether Kafka holds it.
	Append func(r *eventlog.Record, delivered func(error))
	Log    *slog.Logger
	// Meter is told what becomes of the commands: nobody, unless it is set.
	Meter Meter
	// Tracer, if not nil, follows them.
	Tracer Tracer

	known map[string]bool // the types of commands

	mu        sync.Mutex
	session   context.Context // of the claims, and the topic's id that was read in it
	topicID   string
	mailboxes map[int32]*mailbox
	outdated  error
	left      chan struct{}
}

// NewDispatcher returns a dispatcher without any partitions yet.
func NewDispatcher(kafka *kafka.Kafka, topicID func(context.Context) (string, error), states *StateStore, send func(*eventlog.Record, func(error)), log *slog.Logger) *Dispatcher {
	known := map[string]bool{}
	for _, name := range CommandTypes(states.registry) {
		known[name] = true
	}
	return &Dispatcher{
		Kafka: kafka, TopicID: topicID, States: states, Append: send, Log: log, Meter: Unmetered{}, known: known,
		mailboxes: map[int32]*mailbox{}, left: make(chan struct{}),
	}
}

// ErrOutdated is why a service left the group: a newer binary's command came: this one can
// neither decide nor refuse it, and leaves it to others.
var ErrOutdated = errors.New("this binary is too old")

// Setup implements [kafka.ClaimHandler]: before a partition's first
// command, the ledger folds the partition to its end. The group's committed
// offset is where to start: the ledger knows what below and above it is
// decided.
func (d *Dispatcher) Setup(claim *kafka.Claim) (int64, error) {
	if err := d.States.CatchUp(claim.Context, claim.Partition); err != nil {
		return 0, err
	}
	topicID, err := d.topicOf(claim.Context)
	if err != nil {
		return 0, err
	}
	state := d.States.partitions[claim.Partition]
	processor := newProcessor(claim, topicID, state, d.Append, d.Log)
	processor.meter, processor.tracer = d.Meter, d.Tracer
	// It is told under the ledger's lock, and leaving takes others.
	processor.outdated = func(why error) { go d.leave(fmt.Errorf("%w: %w", ErrOutdated, why)) }
	state.mu.Lock()
	state.processor = processor
	processor.resumeAll()
	state.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mailboxes[claim.Partition] = newMailbox(processor)
	return kafka.Committed, nil
}

// topicOf is the id of topic commands, read once for each session.
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

// Cleanup implements [kafka.ClaimHandler].
func (d *Dispatcher) Cleanup(claim *kafka.Claim) {
	d.mu.Lock()
	mailbox := d.mailboxes[claim.Partition]
	delete(d.mailboxes, claim.Partition)
	d.mu.Unlock()
	if mailbox == nil {
		return
	}
	// The claim's own context has ended, and the group waits for this.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(claim.Context), DrainTimeout)
	defer cancel()
	<-mailbox.ended
	if left := mailbox.close(ctx); left > 0 {
		d.Log.Warn("let go of a partition with commands under way; they will be decided by whoever has it next", "partition", claim.Partition, "commands", left)
	}
}

// Register puts the handlers of all commands on a router, behind one
// subscription. What can never be decided goes to the dead letters.
func (d *Dispatcher) Register(router *message.Router, subscriber message.Subscriber, deadLetters message.Publisher) error {
	poison, err := middleware.PoisonQueueWithFilter(deadLetters, d.Kafka.Topic(eventlog.TopicDeadLetters), undecodable)
	if err != nil {
		return fmt.Errorf("dead letters: %w", err)
	}
	router.AddMiddleware(d.skipDead, poison, middleware.Recoverer, d.openEnvelope)

	processor, err := cqrs.NewEventGroupProcessorWithConfig(router, cqrs.EventGroupProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventGroupProcessorGenerateSubscribeTopicParams) (string, error) {
			return d.Kafka.Topic(eventlog.TopicCommands), nil
		},
		SubscriberConstructor: func(cqrs.EventGroupProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return subscriber, nil
		},
		Marshaler: kafka.CommandMarshaler{},
		Logger:    kafka.WatermillLog(d.Log),
	})
	if err != nil {
		return fmt.Errorf("command processor: %w", err)
	}
	var handlers []cqrs.GroupEventHandler
	for _, name := range CommandTypes(d.States.registry) {
		handlers = append(handlers, commandHandler{name, d})
	}
	if err := processor.AddHandlersGroup("commands", handlers...); err != nil {
		return fmt.Errorf("command processor: %w", err)
	}
	return nil
}

// commandHandler handles one type of command.
type commandHandler struct {
	commandType string
	dispatcher  *Dispatcher
}

// NewEvent implements [cqrs.GroupEventHandler]: it is Watermill's group of
// event handlers that shares a subscription.
func (h commandHandler) NewEvent() any {
	return NewCommand(h.dispatcher.States.registry, h.commandType)
}

// Handle implements [cqrs.GroupEventHandler].
func (h commandHandler) Handle(ctx context.Context, command any) error {
	envelope, ok := ctx.Value(envelopeKey{}).(eventlog.Envelope)
	if !ok {
		return errors.New("a message came past its envelope")
	}
	return h.dispatcher.Take(envelope, command.(aggregate.AnyCommand)) //nolint:errcheck // it is what NewEvent makes
}

// Take puts a command on its partition's desk. That it doesn't, because the
// partition is gone, is no error: the command is not marked, and comes again
// to whoever has the partition next.
func (d *Dispatcher) Take(envelope eventlog.Envelope, command aggregate.AnyCommand) error {
	if command != nil {
		if named := streamOf(d.States.registry, command); named != envelope.Stream {
			return fmt.Errorf("%w: the payload names stream %q, and the key %q", kafka.ErrUndecodable, named, envelope.Stream)
		}
	}
	d.mu.Lock()
	mailbox := d.mailboxes[envelope.Partition]
	d.mu.Unlock()
	if mailbox != nil {
		mailbox.put(envelope, command)
	}
	return nil
}

type envelopeKey struct{}

// openEnvelope reads what a message says of its command, for the handlers.
func (d *Dispatcher) openEnvelope(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		if d.Outdated() != nil {
			return nil, nil //nolint:nilerr // not marked: it comes to a newer binary
		}
		envelope, err := kafka.EnvelopeFromMessage(msg)
		if err != nil {
			return nil, err
		}
		if !d.known[envelope.Type] {
			d.leave(fmt.Errorf("%w: it does not know the command %q (partition %d, offset %d)", ErrOutdated, envelope.Type, envelope.Partition, envelope.Offset))
			return nil, nil // not marked: it comes to a newer binary
		}
		msg.SetContext(context.WithValue(msg.Context(), envelopeKey{}, envelope))
		return next(msg)
	}
}

// skipDead keeps the turn of a message that went to the dead letters. One that
// somebody has brought back from there still says why it was dead.
func (d *Dispatcher) skipDead(next message.HandlerFunc) message.HandlerFunc {
	return func(msg *message.Message) ([]*message.Message, error) {
		delete(msg.Metadata, middleware.ReasonForPoisonedKey)
		out, err := next(msg)
		if reason := msg.Metadata.Get(middleware.ReasonForPoisonedKey); err == nil && reason != "" {
			d.Meter.DeadLettered()
			at := kafka.PlaceOf(msg)
			d.Log.Warn("put a message that can't be decoded into the dead letters", "partition", at.Partition, "offset", at.Offset, "reason", reason)
			return out, d.Take(eventlog.Envelope{Partition: at.Partition, Offset: at.Offset}, nil)
		}
		return out, err
	}
}

// undecodable says whether an error means that no try will ever decode the
// message.
func undecodable(err error) bool {
	var panicked middleware.RecoveredPanicError
	return errors.Is(err, kafka.ErrUndecodable) || errors.As(err, &panicked)
}

// leave stops deciding, and says why.
func (d *Dispatcher) leave(why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.outdated == nil {
		d.outdated = why
		d.Log.Error("leaving the command handlers' group", "error", why)
		close(d.left)
	}
}

// CommandLog tells what topic commands has.
type CommandLog interface {
	// Range is the offset of a partition's first command, and the one after
	// its last.
	Range(ctx context.Context, partition int32) (first, end int64, err error)
}

// Ready says why commands wait, or nil: every partition that this process has
// must be decided up to where it ends now, while the context lasts.
func (d *Dispatcher) Ready(ctx context.Context, commands CommandLog) error {
	if err := d.Outdated(); err != nil {
		return err
	}
	d.mu.Lock()
	mailboxes := maps.Clone(d.mailboxes)
	d.mu.Unlock()
	for partition, mailbox := range mailboxes {
		first, target, err := commands.Range(ctx, partition)
		if err != nil {
			return err
		}
		if first < target && !kafka.Reached(ctx, target, mailbox.reached) {
			return fmt.Errorf("partition %d of the commands is decided up to offset %d of %d", partition, max(mailbox.reached(), 0), target)
		}
	}
	return nil
}

// Outdated says why this binary decides nothing any more, or nil.
func (d *Dispatcher) Outdated() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.outdated
}

// Left is closed when this binary must leave the group.
func (d *Dispatcher) Left() <-chan struct{} { return d.left }
