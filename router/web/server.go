package web

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"golang.org/x/net/netutil"
)

// Unavailable returns the problem of a service that can't answer for a while
// (503, Retry-After of 1 s).
func Unavailable(detail string) *Problem {
	return &Problem{
		Slug: "unavailable", Status: http.StatusServiceUnavailable,
		Title: "Service unavailable", Detail: detail, RetryAfter: time.Second,
	}
}

// Settings are the limits of a server. The zero value is plain HTTP with the
// defaults in parentheses.
type Settings struct {
	// TLS is the configuration for https, nil for plain HTTP.
	TLS *tls.Config
	// The server cuts off slow clients. HeaderTimeout is for the handshake and a
	// request's headers (10 s); ReadTimeout for the whole request (30 s);
	// WriteTimeout for the answer, from the end of the headers (60 s);
	// IdleTimeout for the next request (2 min). A handler of a long request or
	// answer can move its deadlines ([http.ResponseController]).
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxHeaderBytes is the limit of a request's headers (16 KiB).
	MaxHeaderBytes int
	// MaxConnections is the limit of open connections, 0 for no limit. More
	// connections wait until one is closed.
	MaxConnections int
}

// Server serves HTTP on one address.
type Server struct {
	settings Settings
	http     http.Server
	listener net.Listener
	served   chan struct{} // closed when Serve has ended
}

// Listen opens the address, so a port in use is an error at once. The server
// answers only after Serve. The error begins with name, the configuration's key of the address.
func Listen(ctx context.Context, name, address string, settings Settings) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // the error below names the address already
		}
		return nil, fmt.Errorf("%s: can't listen on %s: %w", name, address, err)
	}
	if settings.MaxConnections > 0 {
		listener = netutil.LimitListener(listener, settings.MaxConnections)
	}
	return &Server{settings: settings, listener: listener, served: make(chan struct{})}, nil
}

// Addr returns the server's address, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

const (
	// maxStreams is the limit of requests at the same time on a connection of
	// HTTP/2.
	maxStreams = 100
	// stalled is how long a client of HTTP/2 may take no byte of an answer. The
	// connection ends then, with all requests on the connection.
	stalled = 30 * time.Second
)

// Serve starts to answer, and returns at once. The server speaks HTTP/1.1, and
// over TLS also HTTP/2: a browser has at most six connections of HTTP/1.1, and
// each stream of events keeps one. ReadTimeout and WriteTimeout of [Settings] hold
// for each request of HTTP/2.
func (s *Server) Serve(handler http.Handler, log *slog.Logger) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(s.settings.TLS != nil)
	s.http = http.Server{
		Handler:           closer(recoverer(log, handler)),
		TLSConfig:         s.settings.TLS,
		Protocols:         &protocols,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: stalled},
		ReadHeaderTimeout: cmp.Or(s.settings.HeaderTimeout, 10*time.Second),
		ReadTimeout:       cmp.Or(s.settings.ReadTimeout, 30*time.Second),
		WriteTimeout:      cmp.Or(s.settings.WriteTimeout, 60*time.Second),
		IdleTimeout:       cmp.Or(s.settings.IdleTimeout, 2*time.Minute),
		MaxHeaderBytes:    cmp.Or(s.settings.MaxHeaderBytes, 16<<10),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// OPTIONS * goes to the handler, because a guard may be in front.
		DisableGeneralOptionsHandler: true,
	}
	go func() {
		defer close(s.served)
		// Both calls end when the server is closed.
		if s.settings.TLS != nil {
			_ = s.http.ServeTLS(s.listener, "", "")
		} else {
			_ = s.http.Serve(s.listener)
		}
	}()
}

// Close stops new requests, and waits for the answers under way until the
// context ends. Then Close cuts off the other answers and returns the context's
// error.
func (s *Server) Close(ctx context.Context) error {
	if s.http.Handler == nil {
		return s.listener.Close()
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // the error of Shutdown matters more
	}
	<-s.served
	return err
}

// closer closes the connection behind a request with Transfer-Encoding, or of
// HTTP/1.0. A proxy in front of the server may see another end of such a request:
// the request may also have had a Content-Length, and HTTP/1.0 has no
// Transfer-Encoding. The server must not take the rest of a body for the next
// request (RFC 9112, section 6.1). net/http hides whether a request had both
// headers.
func closer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recoverer answers 500 when a handler panics. A panic is a bug; the log has the
// details, the answer has none. An answer that has begun is cut off, so no client
// takes half an answer for a whole one.
func recoverer(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &response{ResponseWriter: w}
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler { //nolint:errorlint // as net/http compares
				panic(reason)
			}
			log.Error("handler panicked", "method", r.Method, "path", r.URL.Path,
				"panic", reason, "stack", string(debug.Stack()))
			if answer.begun {
				panic(http.ErrAbortHandler)
			}
			(&Problem{
				Slug: "internal", Status: http.StatusInternalServerError,
				Title: "Internal error", Detail: "this is a fault of the service",
			}).ServeHTTP(w, r)
		}()
		next.ServeHTTP(answer, r)
	})
}

// response notes whether an answer has begun. Flushing and deadlines go through
// [http.ResponseController].
type response struct {
	http.ResponseWriter
	begun bool
}

func (r *response) WriteHeader(status int) {
	r.begun = true
	r.ResponseWriter.WriteHeader(status)
}

func (r *response) Write(p []byte) (int, error) {
	r.begun = true
	return r.ResponseWriter.Write(p)
}

// Unwrap returns the wrapped writer, for [http.ResponseController].
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
