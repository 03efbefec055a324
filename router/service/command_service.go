package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/decider/commandguard"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/gateway"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/statestore"
	"github.com/millrace/millrace/router/web"
)

// commandService is the role command-service: the gateway, the state store, and
// the dispatcher of commands.
type commandService struct {
	*Process
	server *web.Server

	guard  atomic.Pointer[commandguard.Guard]          // nil until Kafka is reached
	states atomic.Pointer[decider.StateStore]          // nil until Kafka is reached
	status atomic.Pointer[func(context.Context) error] // why the dispatcher is not ready
	notYet atomic.Pointer[error]                       // why there is no guard yet
}

var (
	errKafkaAway = errors.New("kafka has not been reached yet")
	errOpening   = errors.New("the state store is not open yet")
	// errAnew asks for a new write side, because topic commands was made anew.
	errAnew = errors.New("deciding the commands of the new topic")
)

func newCommandService(m *Process, server *web.Server) *commandService {
	s := &commandService{Process: m, server: server}
	s.waitsFor(errKafkaAway)
	m.health.add("command-service", func(ctx context.Context) error {
		if status := s.status.Load(); status != nil {
			return (*status)(ctx)
		}
		return *s.notYet.Load()
	})
	return s
}

// waitsFor notes what the service waits for, before there is a guard.
func (s *commandService) waitsFor(why error) { s.notYet.Store(&why) }

func (s *commandService) run(ctx context.Context) error {
	gateway := &gateway.Gateway{
		Registry:     s.Service.registry,
		Send:         s.send,
		Timeout:      s.Config.CommandService.PublishTimeout,
		MaxInFlight:  s.Config.CommandService.MaxInFlight,
		MaxUndecided: s.Config.CommandService.MaxUndecided,
		States:       s.states.Load,
		Visible:      s.awaitVisible(),
		Stopping:     ctx.Done(),
		StatusURL:    s.Config.ReadAPI.PublicURL,
		Now:          time.Now,
		Log:          s.Log,
		Meter:        s.metrics.WriteSide(),
	}
	if s.traces != nil {
		gateway.Tracer = s.traces
	}
	router, err := s.commandRoutes(gateway)
	if err != nil {
		return err
	}
	s.stats.gateway.Store(gateway)
	handler := s.metrics.Requests("commands", router, s.secure.public(s.secure.commands, router), s.traces)
	s.takeCommands.Store(&handler)
	s.server.Serve(handler, s.Log)
	defer s.drainServer("command-service", s.server)
	for err = errAnew; errors.Is(err, errAnew); {
		err = s.handle(ctx)
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // told to stop while waiting for Kafka
	}
	return err
}

// commandRoutes are the routes of the command service's address.
func (m *Process) commandRoutes(gateway *gateway.Gateway) (*mux.Router, error) {
	router := web.NewRouter()
	gateway.Routes(router)
	return router, m.describe(router)
}

// awaitVisible returns a function that waits until this process's read models
// include a record, or nil if another process keeps the read models.
func (s *commandService) awaitVisible() func(context.Context, int32, int64) {
	if !s.Config.Has(config.QueryService) {
		return nil
	}
	return func(ctx context.Context, partition int32, offset int64) {
		if visible := s.visible.Load(); visible != nil {
			(*visible)(ctx, partition, offset)
		}
	}
}

func (s *commandService) send(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
	if guard := s.guard.Load(); guard != nil {
		guard.Post(c, sent)
		return
	}
	sent(eventlog.CommandPlace{}, fmt.Errorf("%w: %w", *s.notYet.Load(), eventlog.ErrNotTaken))
}

// openStore opens the state store. While the disk is full, openStore waits until
// there is room, or until the context ends; then the store stays as it is.
func (s *commandService) openStore(ctx context.Context, open func(statestore.Options) (*statestore.Store, error)) (*statestore.Store, error) {
	s.waitsFor(errOpening)
	options := statestore.Options{Dir: s.Config.StateDir(), Memory: int64(s.Config.Handlers.Memory / 2), Log: s.Log, Full: func(full bool) {
		if full {
			s.waitsFor(statestore.ErrFull)
		} else {
			s.waitsFor(errOpening)
		}
	}}
	type opened struct {
		store *statestore.Store
		err   error
	}
	done := make(chan opened, 1)
	go func() {
		store, err := open(options)
		done <- opened{store, err}
	}()
	select {
	case o := <-done:
		return o.store, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ctx.Err(), *s.notYet.Load())
	}
}

// handle decides commands until the context ends. The error is errAnew if topic
// commands was deleted or made anew.
func (s *commandService) handle(ctx context.Context) error {
	topics, err := s.connect(ctx)
	if err != nil {
		return err
	}
	if err := s.checkLength(ctx); err != nil {
		return err
	}
	k, err := s.open(ctx, topics)
	if err != nil {
		return err
	}
	defer k.close(s.Log)

	store, err := s.openStore(ctx, statestore.Open)
	if err != nil {
		return err
	}
	defer func() {
		if err := store.Close(); err != nil {
			s.Log.Warn("close the state store", "error", err)
		}
	}()
	states := decider.NewStateStore(k.reader, s.Service.folded, s.kafka.Partitions, s.Config.Handlers.OutcomesPerStream, s.Log)
	states.EventsID, states.AcceptShorter = topics.EventsID, s.Config.CommandService.AcceptShorter
	states.KeepOn(store, int64(s.Config.Handlers.Memory/2), s.metrics.WriteSide().StoodStill)
	dispatcher := decider.NewDispatcher(s.kafka, s.kafka.CommandsID, states, k.events.Append, s.Log)
	dispatcher.Meter = s.metrics.WriteSide()
	dispatcher.Commands = k.commands
	if s.traces != nil {
		dispatcher.Tracer = s.traces
	}
	guard := s.newGuard(topics, states, k)
	publishing := s.newPublishing(dispatcher, topics, states, k)
	subscription := s.kafka.CommandSubscription(s.kafka.Group("command-service"), publishing, decider.DrainTimeout)
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: s.Config.ShutdownTimeout}, kafka.WatermillLog(s.Log))
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	if err := dispatcher.Register(router, subscription, k.deadLetters); err != nil {
		return err
	}
	reactions := s.newRunner(topics, states, k.reader, guard.Post)
	status := func(ctx context.Context) error {
		return errors.Join(guard.Ready(), subscription.Ready(), dispatcher.Ready(ctx, k.commands), reactions.Ready())
	}
	s.status.Store(&status)
	s.states.Store(states)
	s.stats.states.Store(states)
	s.stats.store.Store(store)
	s.stats.dispatcher.Store(dispatcher)
	s.stats.publisher.Store(publishing.publisher)
	s.guard.Store(guard)

	// The state store outlives the router: commands under way end in the store.
	statesCtx, stopStates := context.WithCancel(context.WithoutCancel(ctx))
	statesDone := make(chan error, 1)
	go func() { statesDone <- states.Run(statesCtx) }()
	routerDone := make(chan error, 1)
	go func() { routerDone <- router.Run(context.WithoutCancel(ctx)) }()

	besides, stopBesides := context.WithCancel(ctx)
	defer stopBesides()
	if keep := s.Config.Kafka.CommandsKeep; keep > 0 {
		go dispatcher.TrimCommands(besides, keep)
	}
	go guard.Run(besides)
	anew := make(chan error, 1)
	go func() {
		if why := s.kafka.WatchCommands(besides, topics.CommandsID, guard.Refuse); why != nil {
			anew <- why
		}
	}()

	unclaimed := make(chan error, 1)
	go func() {
		if err := states.CheckClaims(besides); errors.Is(err, decider.ErrUnclaimed) {
			unclaimed <- err
		}
	}()

	stopReactions := s.react(besides, reactions)
	select {
	case <-ctx.Done():
	case err = <-unclaimed:
	case err = <-statesDone:
		statesDone <- nil
	case <-store.Failed():
		err = store.Err()
	case why := <-anew:
		s.Log.Warn("deciding anew", "reason", why)
		guard.Refuse(why)
		s.waitsFor(errKafkaAway)
		s.status.Store(nil)
		s.forgetTopics()
		err = errAnew
	}
	if !errors.Is(err, errAnew) {
		s.drainServer("command-service", s.server)
	}
	stopReactions() // while the last notes can be decided
	<-router.Running()
	// The router closes the subscription, but doesn't wait for it to leave.
	err = errors.Join(err, router.Close(), <-routerDone, subscription.Close())
	publishing.await()
	stopStates()
	stopped := <-statesDone
	if failed := store.Err(); failed != nil {
		return failed // all other errors follow from this one
	}
	return errors.Join(shorter(err), stopped)
}

// checkLength returns an error if somebody has read more of the log than there
// is: decisions would rest on a state that clients have left behind.
func (s *commandService) checkLength(ctx context.Context) error {
	if s.Config.CommandService.AcceptShorter {
		return nil
	}
	var groups []string
	for _, p := range s.Service.projections() {
		groups = append(groups, s.kafka.Group("query-service", p.Name))
	}
	return shorter(s.retry(ctx, "kafka went away; waiting for it", func(ctx context.Context) error {
		return s.kafka.CheckLength(ctx, groups)
	}))
}

// shorter adds the remedy to a [kafka.ErrShorter].
func shorter(err error) error {
	if !errors.Is(err, kafka.ErrShorter) {
		return err
	}
	return fmt.Errorf("%w: restore the log; or, to decide from what is left, set command_service.accept_shorter_log, and rebuild the read models", err)
}

// newGuard returns a guard whose partitions are shut.
func (s *commandService) newGuard(topics kafka.Topics, states *decider.StateStore, k writeSide) *commandguard.Guard {
	guard := &commandguard.Guard{
		States: states, Partitions: s.kafka.Partitions, Margin: decider.MaxUnderWay, TopicID: topics.CommandsID,
		Commands: k.commands, Send: k.bus.Post, Fill: s.kafka.FillCommands, Log: s.Log,
		Committed: func(ctx context.Context) (map[int32]int64, error) {
			return s.kafka.CommittedOffsets(ctx, s.kafka.Group("command-service"), eventlog.TopicCommands)
		},
	}
	guard.Start()
	return guard
}

// writeSide is everything that the command service has open on Kafka.
type writeSide struct {
	bus         *kafka.CommandBus
	deadLetters message.Publisher
	events      *kafka.EventBus
	reader      *kafka.TailReader
	commands    *kafka.CommandReader
	public      *kafka.PublicTopics // nil if nothing is published
}

// open opens the write side, and waits if brokers went away since the check of
// the topics.
func (s *commandService) open(ctx context.Context, topics kafka.Topics) (k writeSide, err error) {
	err = s.retry(ctx, "kafka went away; waiting for it", func(context.Context) (err error) {
		defer func() {
			if err != nil {
				k.close(s.Log)
				k = writeSide{}
			}
		}()
		if k.bus, err = s.kafka.CommandBus(topics.CommandsID); err != nil {
			return err
		}
		if k.deadLetters, err = s.kafka.DeadLetterPublisher(); err != nil {
			return err
		}
		if k.events, err = s.kafka.EventBus(); err != nil {
			return err
		}
		if k.reader, err = s.logTail.reader(s.kafka); err != nil {
			return err
		}
		if k.commands, err = s.kafka.CommandReader(); err != nil || len(s.Config.Publish) == 0 {
			return err
		}
		k.public, err = s.kafka.PublicTopics()
		return err
	})
	return k, err
}

// close closes everything at the same time, because each client may wait for a
// broker that hangs.
func (k writeSide) close(log *slog.Logger) {
	var closing sync.WaitGroup
	closeIt := func(what string, client io.Closer) {
		closing.Go(func() {
			if err := client.Close(); err != nil {
				log.Warn("close the write side", "what", what, "error", err)
			}
		})
	}
	if k.bus != nil {
		closeIt("commands", k.bus)
	}
	if k.deadLetters != nil {
		closeIt("dead letters", k.deadLetters)
	}
	if k.events != nil {
		closeIt("events", k.events)
	}
	if k.reader != nil {
		closeIt("reader of the log", k.reader)
	}
	if k.commands != nil {
		closeIt("reader of the commands", k.commands)
	}
	if k.public != nil {
		closeIt("public topics", k.public)
	}
	closing.Wait()
}
