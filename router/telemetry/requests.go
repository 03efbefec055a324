package telemetry

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
)

// requestMetrics has the metrics of HTTP requests to the public addresses.
type requestMetrics struct {
	total    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
}

func newRequestMetrics(r prometheus.Registerer) requestMetrics {
	m := requestMetrics{
		prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "millrace_http_requests_total",
			Help: "Requests answered, by address (commands, queries), route, method and status. Route none: refused before a route was found.",
		}, []string{"address", "route", "method", "code"}),
		prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_http_request_duration_seconds", Buckets: quick,
			Help: "Time of requests, to the end of the answer; waits that a client asks for, imports and streams of changes included.",
		}, []string{"address", "route", "method"}),
		prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "millrace_http_requests_in_flight", Help: "Requests under way. Requests to /changes are clients that follow the changes.",
		}, []string{"address", "route"}),
	}
	r.MustRegister(m.total, m.duration, m.inFlight)
	return m
}

// Requests returns a handler that measures the requests to an address. The route
// comes from router; next is the router with the guards in front. With traces
// each sampled request has a span. Call Requests after the router has all routes.
func (m *Metrics) Requests(address string, router *mux.Router, next http.Handler, traces *Traces) http.Handler {
	router.Use(m.requests.countRoute(address))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w, route: noRoute}
		var span trace.Span
		if traces != nil {
			r, span = traces.request(r)
		}
		began, done := time.Now(), false
		defer func() {
			code := a.status
			switch {
			case code == 0 && !done: // a panic: an outer handler answers
				code = http.StatusInternalServerError
			case code == 0:
				code = http.StatusOK
			}
			method := methodOf(r)
			if span != nil {
				endRequest(span, method, a.route, code)
			}
			m.requests.total.WithLabelValues(address, a.route, method, strconv.Itoa(code)).Inc()
			m.requests.duration.WithLabelValues(address, a.route, method).Observe(time.Since(began).Seconds())
		}()
		next.ServeHTTP(a, r)
		done = true
	})
}

// noRoute is the route of a request that was refused before a route was found.
const noRoute = "none"

// countRoute notes the route in the answer, and counts the requests under way.
func (m requestMetrics) countRoute(address string) mux.MiddlewareFunc {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := answerOf(w)
			if template, err := mux.CurrentRoute(r).GetPathTemplate(); err == nil && a != nil {
				a.route = template
				inFlight := m.inFlight.WithLabelValues(address, template)
				inFlight.Inc()
				defer inFlight.Dec()
			}
			next.ServeHTTP(w, r)
		})
	}
}

// methodOf returns the request's method, "other" for an unknown method.
func methodOf(r *http.Request) string {
	if slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, http.MethodPut, http.MethodPatch, http.MethodDelete}, r.Method) {
		return r.Method
	}
	return "other"
}

// answer notes its route and its status. Flushing and deadlines go through
// [http.ResponseController].
type answer struct {
	http.ResponseWriter
	route  string
	status int
}

// answerOf finds the answer inside other writers. The result is nil if a writer
// hides its inner writer.
func answerOf(w http.ResponseWriter) *answer {
	for {
		if a, ok := w.(*answer); ok {
			return a
		}
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = wrapped.Unwrap()
	}
}

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (a *answer) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap returns the wrapped writer, for [http.ResponseController].
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
