package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// Gateway takes commands over HTTP and puts them on the command bus.
type Gateway struct {
	// Registry is the aggregates whose commands are taken.
	Registry *aggregate.Registry
	// Send puts a command on the command bus. sent is told once how that went,
	// late perhaps, and by any goroutine: no error means that Kafka holds the
	// command, at that place.
	Send func(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error))
	// Timeout is how long a send may take before its client is told that the
	// outcome is unknown.
	Timeout time.Duration
	// MaxInFlight is how many sends may be under way at once, those that
	// nobody waits for any more included.
	MaxInFlight int
	// MaxUndecided is how many commands that this gateway took may have no
	// outcome yet.
	MaxUndecided int
	// States is where outcomes are read, nil as long as there is none.
	States func() *decider.StateStore
	// Visible, if not nil, returns once the read models of this process have
	// what stands at a place in the log, or when the context ends.
	Visible func(ctx context.Context, partition int32, offset int64)
	// Stopping, once closed, ends all waits for outcomes.
	Stopping <-chan struct{}
	// StatusURL is the read API's public URL, which a command's Location
	// begins with; "" for no Location.
	StatusURL string
	Now       func() time.Time
	Log       *slog.Logger
	// Meter, if not nil, is told what becomes of commands.
	Meter decider.Meter
	// Tracer, if not nil, follows them.
	Tracer decider.Tracer

	inFlight   semaphore // sends under way
	undecided  semaphore // commands without an outcome
	imported   semaphore // those of them that came with imports, which wait for places and leave half to others
	logSampler web.LogSampler
	// lastCommand is when the last one came, in Unix nanoseconds.
	lastCommand atomic.Int64
}

// Routes adds POST /commands to the router. Call it once.
func (g *Gateway) Routes(r *mux.Router) {
	if g.Meter == nil {
		g.Meter = decider.Unmetered{}
	}
	g.inFlight = make(semaphore, g.MaxInFlight)
	g.undecided, g.imported = make(semaphore, g.MaxUndecided), make(semaphore, (g.MaxUndecided+1)/2)
	r.Handle("/commands", web.Handler(g.Log, g.post)).Methods(http.MethodPost)
}

func (g *Gateway) post(w http.ResponseWriter, r *http.Request) error {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return invalid("this path takes no query")
	}
	media, err := mediaOf(r.Header)
	if err != nil {
		return err
	}
	if media == mediaNDJSON {
		return g.postMany(w, r)
	}
	return g.postOne(w, r)
}

func (g *Gateway) postOne(w http.ResponseWriter, r *http.Request) error {
	c, err := g.read(w, r)
	if err != nil {
		return err
	}
	p := g.begin(c, preferredWait(r.Header), g.undecided)
	defer p.close()
	var outcomes *decider.Watch
	if g.settles(p) {
		outcomes = p.states.Watch(c.Stream, c.ID)
		defer outcomes.Close()
	}
	if err := p.send(r.Context(), semaphore.tryAcquire); err != nil {
		return err
	}
	if outcomes != nil {
		g.settle(r.Context(), outcomes)
	}
	applyWait(w.Header(), p.wait)
	answer, err := p.answer(r.Context())
	if err != nil {
		return err
	}
	g.write(w, c, answer)
	return nil
}
