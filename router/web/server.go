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

// Unavailable is the problem of something being away, for a while.
func Unavailable(detail string) *Problem {
	return &Problem{
		Slug: "unavailable", Status: http.StatusServiceUnavailable,
		Title: "Service unavailable", Detail: detail, RetryAfter: time.Second,
	}
}

// Settings are what a server does about its clients. The zero value is plain
// HTTP with the defaults.
type Settings struct {
	// TLS makes it https, if not nil.
	TLS *tls.Config
	// Slow clients are cut off. HeaderTimeout is for a request's headers, and
	// the handshake (10 s); ReadTimeout for the whole request (30 s);
	// WriteTimeout for the answer, from the end of the headers (60 s);
	// IdleTimeout for the next request (2 min). A handler of a long request or
	// answer moves its deadlines as it goes ([http.ResponseController]).
	HeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// MaxHeaderBytes is how long a request's headers may be (16 KiB).
	MaxHeaderBytes int
	// MaxConnections is how many there are at once; others wait to be taken.
	// 0 is no limit.
	MaxConnections int
}

// Server serves HTTP on one address.
type Server struct {
	settings Settings
	http     http.Server
	listener net.Listener
	served   chan struct{} // closed when Serve has ended
}

// Listen takes the address, so that a port in use is known at once, and
// serves nothing yet.
func Listen(ctx context.Context, name, address string, settings Settings) (*Server, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the address again
		}
		return nil, fmt.Errorf("%s can't listen on %s: %w", name, address, err)
	}
	if settings.MaxConnections > 0 {
		listener = netutil.LimitListener(listener, settings.MaxConnections)
	}
	return &Server{settings: settings, listener: listener, served: make(chan struct{})}, nil
}

// Addr is the address taken, as host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Serve begins to answer, by HTTP/1.1 only: what is said here of slow clients
// holds for it, and no client of this API needs more.
func (s *Server) Serve(handler http.Handler, log *slog.Logger) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	s.http = http.Server{
		Handler:           closer(recoverer(log, handler)),
		TLSConfig:         s.settings.TLS,
		Protocols:         &protocols,
		ReadHeaderTimeout: cmp.Or(s.settings.HeaderTimeout, 10*time.Second),
		ReadTimeout:       cmp.Or(s.settings.ReadTimeout, 30*time.Second),
		WriteTimeout:      cmp.Or(s.settings.WriteTimeout, 60*time.Second),
		IdleTimeout:       cmp.Or(s.settings.IdleTimeout, 2*time.Minute),
		MaxHeaderBytes:    cmp.Or(s.settings.MaxHeaderBytes, 16<<10),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// OPTIONS * is asked of the handler, which may have a guard.
		DisableGeneralOptionsHandler: true,
	}
	go func() {
		defer close(s.served)
		// Either ends when the server is closed.
		if s.settings.TLS != nil {
			_ = s.http.ServeTLS(s.listener, "", "")
		} else {
			_ = s.http.Serve(s.listener)
		}
	}()
}

// Close stops intake, waits for the answers under way until the context ends,
// and cuts off the rest.
func (s *Server) Close(ctx context.Context) error {
	if s.http.Handler == nil {
		return s.listener.Close()
	}
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close() // the error that matters is that it took too long
	}
	<-s.served
	return err
}

// closer closes the connection behind a request that has Transfer-Encoding, or
// is of HTTP/1.0: a proxy before us may see its end elsewhere (it also had a
// Content-Length; HTTP/1.0 knows no Transfer-Encoding), and what it takes for
// the rest of the body must not be a request (RFC 9112, section 6.1). net/http
// doesn't tell whether that was so.
func closer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// recoverer answers 500 where a handler panics: it is a bug of ours, and says
// nothing about itself to the client. An answer that had begun is cut off, so
// that it can't pass for a whole one.
func recoverer(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := &response{ResponseWriter: w}
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
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

// response knows whether an answer has begun. Flushing and deadlines go
// through [http.ResponseController].
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

// Unwrap is for [http.ResponseController].
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }
