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
	Ledger *Ledger
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

	mu       sync.Mutex
	session  context.Context // of the claims, and the topic's id that was read in it
	topicID  string
	desks    map[int32]*intake
	outdated error
	left     chan struct{}
}

// NewDispatcher returns a dispatcher without any partitions yet.
func NewDispatcher(kafka *kafka.Kafka, topicID func(context.Context) (string, error), ledger *Ledger, send func(*eventlog.Record, func(error)), log *slog.Logger) *Dispatcher {
	known := map[string]bool{}
	for _, name := range CommandTypes(ledger.registry) {
		known[name] = true
	}
	return &Dispatcher{
		Kafka: kafka, TopicID: topicID, Ledger: ledger, Append: send, Log: log, Meter: Unmetered{}, known: known,
		desks: map[int32]*intake{}, left: make(chan struct{}),
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
	if err := d.Ledger.CatchUp(claim.Context, claim.Partition); err != nil {
		return 0, err
	}
	topicID, err := d.topicOf(claim.Context)
	if err != nil {
		return 0, err
	}
	ledger := d.Ledger.partitions[claim.Partition]
	desk := newDesk(claim, topicID, ledger, d.Append, d.Log)
	desk.meter, desk.tracer = d.Meter, d.Tracer
	// It is told under the ledger's lock, and leaving takes others.
	desk.outdated = func(why error) { go d.leave(fmt.Errorf("%w: %w", ErrOutdated, why)) }
	ledger.mu.Lock()
	ledger.desk = desk
	desk.resumeAll()
	ledger.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.desks[claim.Partition] = newIntake(desk)
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
	desk := d.desks[claim.Partition]
	delete(d.desks, claim.Partition)
	d.mu.Unlock()
	if desk == nil {
		return
	}
	// The claim's own context has ended, and the group waits for this.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(claim.Context), DrainTimeout)
	defer cancel()
	<-desk.ended
	if left := desk.close(ctx); left > 0 {
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
	for _, name := range CommandTypes(d.Ledger.registry) {
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
	return NewCommand(h.dispatcher.Ledger.registry, h.commandType)
}

// Handle implements [cqrs.GroupEventHandler].
func (h commandHandler) Handle(ctx context.Context, wish any) error {
	command, ok := ctx.Value(envelopeKey{}).(eventlog.Command)
	if !ok {
		return errors.New("a message came past its envelope")
	}
	return h.dispatcher.Take(command, wish.(aggregate.AnyCommand)) //nolint:errcheck // it is what NewEvent makes
}

// Take puts a command on its partition's desk. That it doesn't, because the
// partition is gone, is no error: the command is not marked, and comes again
// to whoever has the partition next.
func (d *Dispatcher) Take(c eventlog.Command, wish aggregate.AnyCommand) error {
	if wish != nil {
		if named := streamOf(d.Ledger.registry, wish); named != c.Stream {
			return fmt.Errorf("%w: the payload names stream %q, and the key %q", kafka.ErrUndecodable, named, c.Stream)
		}
	}
	d.mu.Lock()
	desk := d.desks[c.Partition]
	d.mu.Unlock()
	if desk != nil {
		desk.bring(c, wish)
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
		command, err := kafka.CommandFromMessage(msg)
		if err != nil {
			return nil, err
		}
		if !d.known[command.Type] {
			d.leave(fmt.Errorf("%w: it does not know the command %q (partition %d, offset %d)", ErrOutdated, command.Type, command.Partition, command.Offset))
			return nil, nil // not marked: it comes to a newer binary
		}
		msg.SetContext(context.WithValue(msg.Context(), envelopeKey{}, command))
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
			return out, d.Take(eventlog.Command{Partition: at.Partition, Offset: at.Offset}, nil)
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
	desks := maps.Clone(d.desks)
	d.mu.Unlock()
	for partition, desk := range desks {
		first, target, err := commands.Range(ctx, partition)
		if err != nil {
			return err
		}
		if first < target && !kafka.Reached(ctx, target, desk.reached) {
			return fmt.Errorf("partition %d of the commands is decided up to offset %d of %d", partition, max(desk.reached(), 0), target)
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
