package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/pprof"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/kafka/connection"
	"github.com/millrace/millrace/router/web"
)

// health knows whether the process is ready, and if not, why.
type health struct {
	mu     sync.Mutex
	checks []healthCheck // in the order of the roles
	ending bool
	// wasReady says that the process has been ready once. well is the last time
	// when the process was ready, or waited for Kafka or the store.
	wasReady bool
	well     time.Time
	// last has the errors of the last check, of the time lastAt.
	last   map[string]error
	lastAt time.Time
}

type healthCheck struct {
	name  string
	check func(context.Context) error
}

// add adds a check. The error of a check says what the process waits for.
func (h *health) add(name string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checks = append(h.checks, healthCheck{name, check})
}

// names are the names of all checks.
func (h *health) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.checks))
	for _, c := range h.checks {
		names = append(names, c.name)
	}
	return names
}

// stopping makes the process not ready, for good.
func (h *health) stopping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ending = true
}

// checkTimeout bounds each check.
const checkTimeout = 2 * time.Second

// check returns the error of each check that fails, by name. The checks run side
// by side, each with its own time: a check that is slow makes no other check
// fail.
func (h *health) check(ctx context.Context) map[string]error {
	h.mu.Lock()
	checks, ending := slices.Clone(h.checks), h.ending
	h.mu.Unlock()
	failing := map[string]error{}
	if ending {
		failing["process"] = errors.New("stopping")
		return failing
	}
	answers := make([]chan error, len(checks))
	for i, c := range checks {
		answers[i] = make(chan error, 1)
		go func() { answers[i] <- c.within(ctx, checkTimeout) }()
	}
	for i, c := range checks {
		if err := <-answers[i]; err != nil {
			failing[c.name] = err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.lastAt = failing, time.Now()
	if len(failing) == 0 {
		h.wasReady = true
	}
	if len(failing) == 0 || failing["kafka"] != nil || failing["store"] != nil {
		h.well = time.Now()
	}
	return failing
}

// recent returns the errors of the last check, if the check is not older than
// two looks of sayReady, and otherwise checks. A check asks Kafka for the ends of
// all partitions, once for each read model.
func (h *health) recent(ctx context.Context) map[string]error {
	h.mu.Lock()
	last, fresh := h.last, !h.ending && time.Since(h.lastAt) < 2*readyPoll
	h.mu.Unlock()
	if fresh {
		return last
	}
	return h.check(ctx)
}

// recovery is how long a process may take to become ready again after Kafka or
// the store has come back.
const recovery = time.Minute

// sound says whether the process works as it should: it is ready, or it was
// ready once and waits for Kafka or the store, or recovers from such a wait. An
// orchestrator must not take a process that waits for dead.
func (h *health) sound(failing map[string]error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(failing) == 0 || h.wasReady && !h.ending && time.Since(h.well) < recovery
}

// within runs the check, and returns an error if the check doesn't answer in
// time. A check that ignores the context goes on in the background.
func (c healthCheck) within(ctx context.Context, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	answer := make(chan error, 1)
	go func() { answer <- c.check(ctx) }()
	select {
	case err := <-answer:
		if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			return fmt.Errorf("no answer within %s", timeout)
		}
		return connection.Explain(err)
	case <-ctx.Done():
		return fmt.Errorf("no answer within %s", timeout)
	}
}

// adminRoutes are the routes of the admin address.
func (m *Process) adminRoutes(status *modelStatus, c *console.Console) *mux.Router {
	routes := m.health.routes(m.Log)
	routes.Handle("/metrics", m.metrics.Handler(m.Log)).Methods(http.MethodGet, http.MethodHead)
	if status.store != nil {
		status.routes(routes)
	}
	if m.Config.Has(config.CommandService) {
		routes.HandleFunc(statePath, m.exportState).Methods(http.MethodGet, http.MethodHead)
	}
	c.Routes(routes)
	return routes
}

// routes are /livez, /readyz, /healthz and the profiles of the Go runtime.
func (h *health) routes(log *slog.Logger) *mux.Router {
	r := web.NewRouter()
	get := func(path string, handler http.HandlerFunc) {
		r.Handle(path, handler).Methods(http.MethodGet, http.MethodHead)
	}
	get("/livez", func(w http.ResponseWriter, _ *http.Request) {
		web.WriteJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	get("/readyz", func(w http.ResponseWriter, req *http.Request) {
		failing := h.check(req.Context())
		if len(failing) == 0 {
			web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
			return
		}
		why := map[string]string{}
		for name, err := range failing {
			why[name] = err.Error()
		}
		log.Debug("not ready", "waiting for", why)
		web.WriteJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "waitingFor": why})
	})
	get("/healthz", func(w http.ResponseWriter, req *http.Request) {
		switch failing := h.check(req.Context()); {
		case len(failing) == 0:
			web.WriteJSON(w, http.StatusOK, map[string]string{"status": "ready"})
		case h.sound(failing):
			web.WriteJSON(w, http.StatusOK, map[string]any{"status": "waiting", "waitingFor": slices.Sorted(maps.Keys(failing))})
		default:
			web.WriteJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "not ready", "waitingFor": slices.Sorted(maps.Keys(failing))})
		}
	})
	get("/debug/pprof/cmdline", pprof.Cmdline)
	get("/debug/pprof/profile", pprof.Profile)
	get("/debug/pprof/symbol", pprof.Symbol)
	get("/debug/pprof/trace", pprof.Trace)
	r.PathPrefix("/debug/pprof/").Methods(http.MethodGet, http.MethodHead).HandlerFunc(pprof.Index)
	return r
}
