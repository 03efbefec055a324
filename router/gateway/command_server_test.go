package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// commandServer is a gateway in front of a service that decides on the fake
// log. Sent commands go to the processor, or are kept back.
type commandServer struct {
	http.Handler
	*deciding
	gateway  *Gateway
	stopping chan struct{}
	// sending is asked before a command is on the topic.
	sending func(*eventlog.Envelope) error

	mu   sync.Mutex
	hold bool
	sent []eventlog.Envelope // by offset
	next int                 // the first command that the processor has not seen
}

func newCommandServer(t *testing.T, adjust func(*commandServer)) *commandServer {
	t.Helper()
	s := &commandServer{deciding: newDeciding(t, newFakeLog()), stopping: make(chan struct{})}
	s.sending = func(*eventlog.Envelope) error { return nil }
	s.gateway = &Gateway{
		Registry: registry,
		Send:     aside(s.send), Timeout: time.Second, MaxInFlight: 100, MaxUndecided: 10_000,
		States: func() *decider.StateStore { return s.states }, Stopping: s.stopping,
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	if adjust != nil {
		adjust(s)
	}
	router := web.NewRouter()
	s.gateway.Routes(router)
	s.Handler = router
	return s
}

func (s *commandServer) send(c *eventlog.Envelope) error {
	if err := s.sending(c); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	copied := *c
	copied.Offset = int64(len(s.sent))
	s.sent = append(s.sent, copied)
	s.bring()
	return nil
}

// holdBack keeps sent commands from the processor, until release.
func (s *commandServer) holdBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = true
}

func (s *commandServer) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = false
	s.bring()
}

func (s *commandServer) bring() {
	for !s.hold && s.next < len(s.sent) {
		s.take(s.sent[s.next])
		s.next++
	}
}

func (s *commandServer) sentIDs() (ids []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sent {
		ids = append(ids, c.ID)
	}
	return ids
}

func newPost(ctx context.Context, body string, headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/commands", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// post returns the answer to a POST, and the time that the answer took.
func (s *commandServer) post(t *testing.T, body string, headers ...string) (*httptest.ResponseRecorder, time.Duration) {
	t.Helper()
	start, w := time.Now(), httptest.NewRecorder()
	s.ServeHTTP(w, newPost(t.Context(), body, headers...))
	return w, time.Since(start)
}
