package main

import (
	"context"
	"sync"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/config"
	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/commandstatus"
	"github.com/millrace/millrace/projections/userhistory"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/projections/userstats"
	"github.com/millrace/millrace/web"
)

// readAPI is the role: the queries of all read models.
type readAPI struct {
	*Main
	server *web.Server
	store  projections.Store
}

func newReadAPI(m *Main, server *web.Server, store projections.Store) *readAPI {
	m.health.add("read-api", func(ctx context.Context) error {
		for _, p := range readModels {
			if _, err := store.Checkpoints(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	return &readAPI{Main: m, server: server, store: store}
}

func (s *readAPI) run(ctx context.Context) error {
	reader := &projections.Reader{
		Store: s.store, Log: s.Log, PublicURL: s.Config.ReadAPI.PublicURL,
		ReadAfterTimeout: s.Config.ReadAPI.ReadAfterTimeout, Waits: &s.waits, Stopping: ctx.Done(),
		Waited: s.metrics.ReadAfter,
	}
	reader.Outcome = func(ctx context.Context, stream, commandID string) (messaging.Position, error) {
		return commandstatus.Outcome(ctx, s.store, users.ID(stream), commandID)
	}
	// Kafka may be away: nothing but the status of new commands needs it.
	finder := s.kafka.CommandFinder(s.kafka.Group("command-service"))
	defer func() { _ = finder.Close() }()
	router, err := s.queryRoutes(reader, finder)
	if err != nil {
		return err
	}
	s.server.Serve(s.metrics.Requests("queries", router, s.secure.public(s.secure.queries, router), s.traces), s.Log)
	var looking sync.WaitGroup
	if !s.Config.Has(config.QueryService) { // which says so itself
		looking.Go(func() {
			// It ends with the context, if not before: there is nothing to do then.
			_ = s.retry(ctx, "the store can't be reached; waiting for it", s.store.Ping)
		})
	}
	<-ctx.Done()
	looking.Wait()
	s.stopIntake("read-api", s.server)
	return nil
}

// queryRoutes are those of the queries' address.
func (m *Main) queryRoutes(reader *projections.Reader, commands commandstatus.Commands) (*mux.Router, error) {
	router := web.NewRouter()
	commandstatus.Routes(router, reader, commands)
	userhistory.Routes(router, reader)
	userstats.Routes(router, reader) // before userlist's: it is no user
	userlist.Routes(router, reader)
	return router, m.describe(router)
}
