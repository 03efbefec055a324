package console

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/millrace/millrace/router/web"
)

const (
	// heartbeat is the pause after which a quiet stream sends a sign of life.
	heartbeat = 15 * time.Second
	// writeTimeout is how long a client may take to read one write.
	writeTimeout = 10 * time.Second
	// streamLife is how long a stream lives at least: the browser comes again, and
	// shows a token that is still good.
	streamLife = 10 * time.Minute
	// reconnect is the least pause before a browser comes again.
	reconnect = time.Second
)

// EventStream is an answer of server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type EventStream struct {
	ctx     context.Context
	w       http.ResponseWriter
	control *http.ResponseController
}

// Context ends when the client leaves, when the process stops, and after some
// minutes: a browser comes again by itself then.
func (s *EventStream) Context() context.Context { return s.ctx }

// Send sends an event with v as JSON. An error means that the client is gone.
func (s *EventStream) Send(event string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.SendJSON(event, data)
}

// SendJSON sends an event with JSON without line breaks.
func (s *EventStream) SendJSON(event string, data []byte) error {
	return s.write("event: " + event + "\ndata: " + string(data) + "\n\n")
}

// Alive sends a sign of life, for clients and proxies that give up on a quiet
// stream. Send one after [Quiet] without an event.
func (s *EventStream) Alive() error { return s.write(": alive\n\n") }

// Quiet is the longest pause between two writes.
func (s *EventStream) Quiet() time.Duration { return heartbeat }

func (s *EventStream) write(text string) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.control.Flush()
}

// Events adds a route whose answer goes on. The function begin may refuse the
// request with an error, and otherwise returns the function that sends events
// until the stream's context ends.
func (a *API) Events(path string, begin func(*http.Request) (func(*EventStream) error, error)) {
	a.handle(path, web.Handler(a.log, func(w http.ResponseWriter, r *http.Request) error {
		send, err := begin(r)
		if err != nil {
			return err
		}
		s := &EventStream{w: w, control: http.NewResponseController(w)}
		var end context.CancelFunc
		s.ctx, end = context.WithTimeout(web.ClientContext(r), streamLife+rand.N(streamLife)) //nolint:gosec // spreads the load
		defer end()
		stopped := make(chan struct{})
		defer close(stopped)
		go func() {
			select {
			case <-a.stop:
				end()
			case <-stopped:
			}
		}()
		_ = s.control.SetReadDeadline(time.Time{}) // the request ends when the client leaves
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("X-Accel-Buffering", "no") // or a proxy would buffer the events
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return nil
		}
		// From here on the end of the answer is the only sign of an error.
		pause := reconnect + rand.N(2*reconnect) //nolint:gosec // spreads the load
		if err := s.write(fmt.Sprintf("retry: %d\n\n", pause.Milliseconds())); err == nil {
			_ = send(s)
		}
		return nil
	}), http.MethodGet, http.MethodHead)
}
