package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics has all metrics of one process.
type Metrics struct {
	registry *prometheus.Registry
	requests requestMetrics
	write    *WriteSide
	read     readMetrics
}

// Build names a build of the program.
type Build struct{ Version, Revision, GoVersion string }

// NewMetrics returns metrics with a registry of their own. Commands of
// commandTypes are counted by type, all others as "other". Each scrape calls
// facts.
func NewMetrics(build Build, commandTypes []string, facts func(context.Context) Facts) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_build_info", Help: "Version of the program, in the labels; always 1.",
		ConstLabels: prometheus.Labels{"version": build.Version, "revision": build.Revision, "goversion": build.GoVersion},
	})
	info.Set(1)
	m.registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.requests = newRequestMetrics(m.registry)
	m.write = newWriteSide(m.registry, commandTypes)
	m.read = newReadMetrics(m.registry)
	m.registry.MustRegister(&factCollector{facts})
	return m
}

// WriteSide returns the metrics of the write side.
func (m *Metrics) WriteSide() *WriteSide { return m.write }

const (
	// scrapes is the limit of concurrent scrapes.
	scrapes = 3
	// scrapeTimeout is the limit of one call of facts, below the default timeout
	// of Prometheus (10 s).
	scrapeTimeout = 4 * time.Second
)

// Handler returns a handler of GET /metrics, in the formats of Prometheus.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: scrapes,
	})
}

// quick has buckets, in seconds, for durations of milliseconds.
var quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
