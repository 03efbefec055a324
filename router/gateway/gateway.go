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
	"github.com/millrace/millrace/router/decider/observe"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/logging"
	"github.com/millrace/millrace/router/web"
)

// Gateway takes commands over HTTP and puts them on the command bus.
type Gateway struct {
	// Registry has the aggregates whose commands the gateway takes.
	Registry *aggregate.Registry
	// Send puts a command on the command bus, and calls sent once, from any
	// goroutine, perhaps late. Without an error, Kafka holds the command at
	// that place.
	Send func(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error))
	// Timeout bounds the wait for a send. After the timeout, the client hears
	// that the outcome is unknown.
	Timeout time.Duration
	// MaxInFlight bounds the sends under way, abandoned sends included.
	MaxInFlight int
	// MaxUndecided bounds the commands of this gateway without an outcome.
	MaxUndecided int
	// States returns the state store with the outcomes, nil before the state
	// store exists.
	States func() *decider.StateStore
	// Visible, if not nil, returns once the read models of this process have
	// read the log up to a place, or when the context ends.
	Visible func(ctx context.Context, partition int32, offset int64)
	// Stopping, once closed, ends all waits for outcomes.
	Stopping <-chan struct{}
	// StatusURL is the read API's public URL, the beginning of a command's
	// Location; "" for no Location.
	StatusURL string
	Now       func() time.Time
	Log       *slog.Logger
	// Meter, if not nil, counts commands.
	Meter observe.Meter
	// Tracer, if not nil, traces commands.
	Tracer observe.Tracer

	inFlight   *limit // sends under way
	undecided  *limit // commands without an outcome
	imported   *limit // the undecided commands of imports; imports leave half of the places to others
	logSampler logging.Sampler
	// lastCommand is the time of the last command, in Unix nanoseconds.
	lastCommand atomic.Int64
}

// Routes adds POST /commands to the router. Routes must be called once.
func (g *Gateway) Routes(r *mux.Router) {
	if g.Meter == nil {
		g.Meter = observe.Unmetered{}
	}
	g.inFlight = newLimit(g.MaxInFlight)
	g.undecided, g.imported = newLimit(g.MaxUndecided), newLimit((g.MaxUndecided+1)/2)
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
	if err := p.send(r.Context(), (*limit).tryAcquire); err != nil {
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
