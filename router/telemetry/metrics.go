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

// Metrics are those of one process.
type Metrics struct {
	registry *prometheus.Registry
	requests requestMetrics
	write    *WriteSide
	read     readMetrics
}

// Build says which program this is.
type Build struct{ Version, Revision, GoVersion string }

// NewMetrics returns a registry of its own. The command types are all that
// are counted by name. Facts are asked for at each scrape.
func NewMetrics(build Build, commandTypes []string, facts func(context.Context) Facts) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "millrace_build_info", Help: "Which program this is; always 1.",
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

// WriteSide counts what the write side does.
func (m *Metrics) WriteSide() *WriteSide { return m.write }

const (
	// scrapes is how many are answered at once.
	scrapes = 3
	// scrapeTimeout bounds what is looked up for one: it is less than the 10 s
	// that Prometheus waits by default.
	scrapeTimeout = 4 * time.Second
)

// Handler answers GET /metrics in the formats that Prometheus reads.
func (m *Metrics) Handler(log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		MaxRequestsInFlight: scrapes,
	})
}

// quick are buckets in seconds for what takes milliseconds.
var quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
