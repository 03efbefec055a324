package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/kafka/embedded"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
	"github.com/millrace/millrace/router/telemetry"
	"github.com/millrace/millrace/router/web"
)

// Process is a process of the service: the roles of the configuration, wired by
// hand.
type Process struct {
	Service *registered
	Config  config.Config
	Sources map[string]string // of the configuration, as from config.LoadWithSources
	Stdout  io.Writer         // for the banner
	Log     *slog.Logger
	// Started, if not nil, is called once all addresses are taken.
	Started func(Addresses)

	secure secure
	kafka  *kafka.Kafka
	// visible waits until the read models of this process include a record. Nil
	// without a query service.
	visible atomic.Pointer[func(ctx context.Context, partition int32, offset int64)]
	// waits wake the waiting queries of this process when the query service has
	// folded records.
	waits   readmodel.Waits
	health  *health
	metrics *telemetry.Metrics
	traces  *telemetry.Traces // nil for none
	stats   stats

	topicsOnce sync.Mutex
	topics     *kafka.Topics
	logTail    sharedTail
	// takeCommands is the handler of the command service in this process, nil
	// before the command service has started, and without one.
	takeCommands atomic.Pointer[http.Handler]
	// jobs are the actions of the console in the background. commandTimes looks up
	// when commands came to Kafka.
	jobs         *console.Jobs
	commandTimes lazyClient[*kafka.CommandReader]
}

// Addresses are the addresses where a process listens, "" for a role that does
// not run.
type Addresses struct{ Broker, Commands, Queries, Admin string }

// role is a role at work. run returns after the end of the context, once the
// work in flight is done.
type role struct {
	name string
	run  func(ctx context.Context) error
}

// Run starts the roles in order, waits until the context ends or a role fails,
// and stops the roles in order: the command service first, so that no new work
// comes in while the rest finishes.
func (m *Process) Run(ctx context.Context) (err error) {
	cfg := m.Config
	m.health = new(health)
	var at Addresses

	if m.secure, err = m.newSecure(ctx); err != nil {
		return err
	}
	// Ports first: a port in use is an error before anything has begun.
	admin, err := web.Listen(ctx, "admin.address", cfg.Admin.Address, m.secure.settings(tls.VerifyClientCertIfGiven))
	if err != nil {
		return err
	}
	defer m.shut("admin", admin.Close)
	at.Admin = admin.Addr()
	var commands, queries *web.Server
	if cfg.Has(config.CommandService) {
		if commands, err = web.Listen(ctx, "command_service.address", cfg.CommandService.Address, m.secure.settings(tls.RequireAndVerifyClientCert)); err != nil {
			return err
		}
		defer m.shut("command-service", commands.Close)
		at.Commands = commands.Addr()
	}
	if cfg.Has(config.ReadAPI) {
		if queries, err = web.Listen(ctx, "read_api.address", cfg.ReadAPI.Address, m.secure.settings(tls.RequireAndVerifyClientCert)); err != nil {
			return err
		}
		defer m.shut("read-api", queries.Close)
		at.Queries = queries.Addr()
	}
	if m.Config.ReadAPI.PublicURL == "" {
		m.Config.ReadAPI.PublicURL = httpURL(cfg, cmp.Or(at.Queries, cfg.ReadAPI.Address))
	}

	m.secure.allowConsoles(consoleOrigins(cfg, at.Admin))

	brokers := cfg.Kafka.Brokers
	var near func(address string) net.Conn
	if cfg.Has(config.Broker) {
		broker, err := embedded.Start(cfg.Broker.Address, cfg.BrokerDir(), cfg.Broker.Sync, embedded.Security(m.secure.broker(cfg)), m.Log)
		if err != nil {
			return err
		}
		defer m.shut("broker", func(context.Context) error { return broker.Close() })
		at.Broker = broker.Addr()
		brokers, near = []string{broker.Addr()}, broker.Dial
		if cfg.Kafka.SASL.Mechanism != config.SASLOff && cfg.Kafka.SASL.PasswordFile != "" {
			renewing, stop := context.WithCancel(ctx)
			var renewal sync.WaitGroup
			renewal.Go(func() { m.renewPassword(renewing, cfg, broker.Addr()) })
			defer renewal.Wait()
			defer stop()
		}
	}
	if m.kafka, err = newKafka(cfg, brokers, m.Log); err != nil {
		return err
	}
	m.kafka.Near = near

	defer m.shut("log tail", func(context.Context) error { return m.logTail.close() })

	var store readmodel.Generations
	if cfg.Has(config.QueryService) || cfg.Has(config.ReadAPI) {
		if store, err = openStore(ctx, cfg); err != nil {
			return err
		}
		if cfg.Store.Driver == config.Postgres && !cfg.Insecure && sqlstore.PostgresUnverified(string(cfg.Store.Postgres.URL)) {
			m.Log.Warn("others can read or redirect the connections to PostgreSQL: the URL should have sslmode=verify-full")
		}
		defer m.shut("store", func(context.Context) error { return store.Close() })
		m.health.add("store", store.Ping)
	}

	if cfg.Has(config.CommandService) || cfg.Has(config.QueryService) {
		m.health.add("kafka", m.kafka.Ping)
	}
	status := newModelStatus(m, store)
	defer m.shut("status of the read models", status.close)
	m.metrics = newMetrics(m, status)
	if m.traces, err = newTraces(ctx, m); err != nil {
		return err
	}
	if m.traces != nil {
		defer m.shut("traces", m.traces.Close)
	}
	var roles []role
	if commands != nil {
		s := newCommandService(m, commands)
		roles = append(roles, role{"command-service", s.run})
	}
	if cfg.Has(config.QueryService) {
		s := newQueryService(m, store)
		roles = append(roles, role{"query-service", s.run})
	}
	if queries != nil {
		s := newReadAPI(m, queries, store, status)
		roles = append(roles, role{"read-api", s.run})
	}
	if len(roles) == 0 {
		roles = append(roles, role{"broker", func(ctx context.Context) error { <-ctx.Done(); return nil }})
	}
	stopping := make(chan struct{})
	defer close(stopping)
	sampler, stopSampling := m.sample(ctx, status)
	defer stopSampling()
	c := m.newConsole(cfg, at, sampler, status, stopping)
	defer m.shut("console", m.closeConsole)
	admin.Serve(m.secure.admin(c, m.adminRoutes(status, c)), m.Log)
	if err := m.checkTopics(ctx); err != nil {
		return err
	}
	m.announce(at)
	if m.Started != nil {
		m.Started(at)
	}
	return m.runRoles(ctx, roles)
}

// runRoles runs all roles at the same time, and stops the roles one after
// another.
func (m *Process) runRoles(ctx context.Context, roles []role) error {
	failed := make(chan error, len(roles))
	stops := make([]func(), 0, len(roles))
	var working atomic.Pointer[string] // the name of the role that is stopping
	for _, p := range roles {
		roleCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan struct{})
		go func() {
			defer close(done)
			if err := p.run(roleCtx); err != nil {
				failed <- fmt.Errorf("%s: %w", p.name, err)
			}
		}()
		stops = append(stops, func() {
			working.Store(&p.name)
			cancel()
			<-done
		})
	}
	go m.sayReady(ctx, readyPoll)
	var err error
	select {
	case <-ctx.Done():
		m.Log.Info("stopping")
	case err = <-failed:
	}
	m.health.stopping()
	if err == nil {
		m.drain()
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for _, stop := range stops {
			stop()
		}
	}()
	select {
	case <-stopped:
	case <-time.After(m.Config.ShutdownTimeout):
		return errors.Join(err, fmt.Errorf("%s did not finish its work in flight within shutdown_timeout, %s", *working.Load(), m.Config.ShutdownTimeout))
	}
	close(failed)
	for more := range failed {
		err = errors.Join(err, more)
	}
	return err
}

// drainTimeout is how long a stop waits for requests under way. Slower clients
// are cut off, because the steps after need time too.
const drainTimeout = 3 * time.Second

// drainServer takes no more requests, and answers the requests under way.
func (m *Process) drainServer(name string, server *web.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	if err := server.Close(ctx); err != nil {
		m.Log.Warn("cut off clients that took too long", "role", name, "after", drainTimeout.String())
	}
}

// shut closes something at the end of the process.
func (m *Process) shut(name string, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := end(ctx); err != nil {
		m.Log.Debug("close", "what", name, "error", err)
	}
}

// checkTopics finds a topic with a wrong setting before the process says that it
// has started. Brokers that don't answer at once are no error: the roles wait.
func (m *Process) checkTopics(ctx context.Context) error {
	if !m.Config.Has(config.CommandService) && !m.Config.Has(config.QueryService) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, topicsTimeout)
	defer cancel()
	if _, err := m.kafka.CommandsID(ctx); errors.Is(err, kafka.ErrTopic) {
		return err
	}
	return nil
}

// topicsTimeout bounds the first look at the topics.
const topicsTimeout = time.Second

// openStore opens the configured store.
func openStore(ctx context.Context, cfg config.Config) (readmodel.Generations, error) {
	switch cfg.Store.Driver {
	case config.Postgres:
		return sqlstore.OpenPostgres(ctx, string(cfg.Store.Postgres.URL))
	case config.Memory:
		return sqlstore.OpenMemory(ctx)
	default:
		return sqlstore.OpenSQLite(ctx, cfg.SQLitePath())
	}
}

// connectTimeout bounds one attempt to reach Kafka or the store.
const connectTimeout = 10 * time.Second

// connect waits for Kafka, and makes or checks the topics, once for all roles. A
// topic with a wrong setting is an error.
func (m *Process) connect(ctx context.Context) (kafka.Topics, error) {
	m.topicsOnce.Lock()
	defer m.topicsOnce.Unlock()
	if m.topics != nil {
		return *m.topics, nil
	}
	var topics kafka.Topics
	err := m.retry(ctx, "kafka can't be reached; waiting for it", func(ctx context.Context) (err error) {
		if topics, err = m.kafka.EnsureTopics(ctx); err != nil {
			return err
		}
		return m.ensurePublic(ctx)
	})
	if err != nil {
		return topics, err
	}
	m.topics = &topics
	return topics, nil
}

// ensurePublic makes or checks the public topics.
func (m *Process) ensurePublic(ctx context.Context) error {
	for _, t := range m.Config.PublicTopics(m.Service.plurals()) {
		if err := m.kafka.EnsurePublic(ctx, t.Topic); err != nil {
			return err
		}
	}
	return nil
}

// forgetTopics makes the next connect ask for the topics again.
func (m *Process) forgetTopics() {
	m.topicsOnce.Lock()
	defer m.topicsOnce.Unlock()
	m.topics = nil
}

// isFinal reports whether time does not heal an error: an error of a topic or of
// a read model.
func isFinal(err error) bool {
	for _, final := range []error{
		kafka.ErrTopic, kafka.ErrShorter, readmodel.ErrOtherDefinition, readmodel.ErrOldStore, readmodel.ErrNewerStore,
	} {
		if errors.Is(err, final) {
			return true
		}
	}
	return false
}

// retry calls do until do succeeds. The first failure is logged, with the text
// waiting. An error that time does not heal is returned at once. After the end of the context, retry returns the error of the
// context together with the error of the last attempt.
func (m *Process) retry(ctx context.Context, waiting string, do func(context.Context) error) error {
	var cause error // of the last attempt before the end of the context
	for try := 0; ; try++ {
		tryCtx, cancel := context.WithTimeout(ctx, connectTimeout)
		err := do(tryCtx)
		cancel()
		if err == nil || isFinal(err) {
			return err
		}
		if cause == nil || ctx.Err() == nil {
			cause = err
		}
		if try == 0 && ctx.Err() == nil {
			m.Log.Warn(waiting, "error", err)
		}
		if over := kafka.Backoff(ctx, try); over != nil {
			return fmt.Errorf("%w: %w", over, cause)
		}
	}
}
