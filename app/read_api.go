package main

import (
	"context"

	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/web"
)

// readAPI is the role: the queries of all read models.
type readAPI struct {
	*Main
	server *web.Server
	store  projections.Store
}

func newReadAPI(m *Main, server *web.Server, store projections.Store) *readAPI {
	return &readAPI{Main: m, server: server, store: store}
}

func (s *readAPI) run(ctx context.Context) error {
	router := web.NewRouter()
	reader := &projections.Reader{Store: s.store, Log: s.Log, PublicURL: s.Config.ReadAPI.PublicURL}
	userlist.Routes(router, reader)
	s.server.Serve(router, s.Log)
	<-ctx.Done()
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Config.ShutdownTimeout)
	defer cancel()
	return s.server.Close(stop)
}
