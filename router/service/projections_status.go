package service

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// modelStatus knows how the read models stand in the store, whoever keeps
// them, and answers GET /projections on the admin address.
type modelStatus struct {
	*Process
	store readmodel.Generations // nil in a process that has none

	mu      sync.Mutex
	reader  *kafka.LogReader // once it is open
	opening chan struct{}    // while it is being opened
	closed  bool
}

const (
	// statusTimeout bounds an answer, and endsTimeout what of it is spent on
	// Kafka, which a read API may do without.
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

// ends are where the log's partitions end, nil if Kafka doesn't say soon.
func (s *modelStatus) ends(ctx context.Context) []int64 {
	ctx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	reader := s.open(ctx)
	if reader == nil {
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

// open is the reader of the log, nil if it isn't open in time: brokers that are
// away take longer than who asks would wait.
func (s *modelStatus) open(ctx context.Context) *kafka.LogReader {
	s.mu.Lock()
	if s.reader == nil && s.opening == nil && !s.closed {
		opening := make(chan struct{})
		s.opening = opening
		go func() {
			defer close(opening)
			reader, err := s.kafka.LogReader()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opening = nil
			switch {
			case err != nil: // the next who asks tries again
			case s.closed:
				_ = reader.Close()
			default:
				s.reader = reader
			}
		}()
	}
	opening := s.opening
	s.mu.Unlock()
	if opening != nil {
		select {
		case <-opening:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reader
}

func (s *modelStatus) close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.reader == nil {
		return nil
	}
	return s.reader.Close()
}
