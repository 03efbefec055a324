package service

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/query/commandstatus"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// readAPI is the role read-api: the queries of all read models.
type readAPI struct {
	*Process
	server *web.Server
	store  readmodel.Store
	status *modelStatus
	// otherLog is why the read models belong to another log; a nil error if the
	// read models don't, or if the log doesn't answer; nil at first.
	otherLog atomic.Pointer[error]
}

func newReadAPI(m *Process, server *web.Server, store readmodel.Store, status *modelStatus) *readAPI {
	s := &readAPI{Process: m, server: server, store: store, status: status}
	m.health.add("read-api", func(ctx context.Context) error {
		for _, p := range m.Service.projections() {
			if _, err := store.Checkpoints(ctx, p); err != nil {
				return err
			}
		}
		other := s.otherLog.Load()
		if other == nil {
			return errNotCompared
		}
		return *other
	})
	return s
}

func (s *readAPI) run(ctx context.Context) error {
	reader := &query.Reader{
		Store: s.store, Log: s.Log, PublicURL: s.Config.ReadAPI.PublicURL,
		ReadAfterTimeout: s.Config.ReadAPI.ReadAfterTimeout, Waits: &s.waits, Stopping: ctx.Done(),
		Waited: s.metrics.ReadAfter,
	}
	reader.Outcome = outcomeIn(s.store)
	// Only the status of new commands needs Kafka.
	finder := s.kafka.CommandFinder(s.kafka.Group("command-service"))
	defer func() { _ = finder.Close() }()
	reader.Commands = finder
	router, err := s.queryRoutes(reader)
	if err != nil {
		return err
	}
	s.server.Serve(s.metrics.Requests("queries", router, s.secure.public(s.secure.queries, router), s.traces), s.Log)
	failed := make(chan error, 1)
	var looking sync.WaitGroup
	if !s.Config.Has(config.QueryService) { // the query service checks the store too
		looking.Go(func() {
			// After the end of the context there is nothing to report.
			if err := s.retry(ctx, "the store can't be reached; waiting for it", s.checkStore); errors.Is(err, readmodel.ErrOldStore) || errors.Is(err, readmodel.ErrNewerStore) {
				failed <- err
			}
		})
	}
	watching, stopWatching := context.WithCancel(ctx)
	looking.Go(func() { s.watchOrigin(watching, s.status) })
	defer stopWatching()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stopWatching()
	looking.Wait()
	s.drainServer("read-api", s.server)
	return err
}

// outcomeIn looks up the outcomes of commands in a store.
func outcomeIn(store readmodel.Store) func(ctx context.Context, stream, commandID string) (eventlog.Position, error) {
	return func(ctx context.Context, stream, commandID string) (eventlog.Position, error) {
		return commandstatus.Outcome(ctx, store, stream, commandID)
	}
}

// checkStore reaches the store. A store from before v0.1.0 is a
// [readmodel.ErrOldStore].
func (s *readAPI) checkStore(ctx context.Context) error {
	if err := s.store.Ping(ctx); err != nil {
		return err
	}
	if store, ok := s.store.(interface{ CheckTables(context.Context) error }); ok {
		if err := store.CheckTables(ctx); err != nil {
			return err
		}
	}
	for _, p := range s.Service.projections() {
		if _, err := s.store.Checkpoints(ctx, p); errors.Is(err, readmodel.ErrOldStore) {
			return err
		}
	}
	return nil
}

// queryRoutes are the routes of the read API's address.
func (m *Process) queryRoutes(reader *query.Reader) (*mux.Router, error) {
	router := web.NewRouter()
	for _, model := range m.Service.models {
		if model.Routes != nil {
			model.Routes(router, reader)
		}
	}
	return router, m.describe(router)
}
