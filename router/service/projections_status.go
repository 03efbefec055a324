package service

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// modelStatus knows the state of the read models in the store, and answers GET
// /projections on the admin address. Any process may keep the read models up.
type modelStatus struct {
	*Process
	store readmodel.Generations // nil in a process without a store
	log   lazyClient[*kafka.LogReader]
}

func newModelStatus(m *Process, store readmodel.Generations) *modelStatus {
	return &modelStatus{Process: m, store: store, log: lazyClient[*kafka.LogReader]{open: m.kafka.LogReader}}
}

const (
	// statusTimeout bounds an answer. endsTimeout bounds the part of an answer
	// that asks Kafka: a read API goes on without Kafka.
	statusTimeout = 5 * time.Second
	endsTimeout   = time.Second
)

func (s *modelStatus) routes(r *mux.Router) {
	r.Handle("/projections", web.Handler(s.Log, s.serve)).Methods(http.MethodGet, http.MethodHead)
}

func (s *modelStatus) serve(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), statusTimeout)
	defer cancel()
	ends := s.ends(ctx)
	all := make([]readmodel.Status, 0, len(s.Service.models))
	for _, p := range s.Service.projections() {
		status, err := readmodel.StatusOf(ctx, s.store, p, ends)
		if errors.Is(err, readmodel.ErrNotPrepared) {
			return web.Unavailable("the read models aren't there yet")
		}
		if errors.Is(err, readmodel.ErrOtherDefinition) {
			return web.Unavailable("read model " + p.Name + " is still to be rebuilt")
		}
		if err != nil {
			return err
		}
		all = append(all, status)
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"projections": all})
	return nil
}

// ends are the ends of the log's partitions, nil if Kafka doesn't answer in
// time.
func (s *modelStatus) ends(ctx context.Context) []int64 {
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	reader, ok := s.log.get(ctx)
	if !ok {
		return nil
	}
	ends := make([]int64, s.kafka.Partitions)
	for partition := range ends {
		var err error
		if ends[partition], err = reader.End(ctx, int32(partition)); err != nil {
			return nil
		}
	}
	return ends
}

func (s *modelStatus) close(ctx context.Context) error { return s.log.close(ctx) }
