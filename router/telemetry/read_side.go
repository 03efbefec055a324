package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// readMetrics are of what the read side does.
type readMetrics struct {
	records  *prometheus.HistogramVec
	duration *prometheus.HistogramVec
	waits    prometheus.Histogram
	tooLate  prometheus.Counter
}

func newReadMetrics(r prometheus.Registerer) readMetrics {
	m := readMetrics{
		records: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_read_model_batch_records", Help: "Records folded into a read model in one transaction.",
			Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000},
		}, []string{"read_model"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_read_model_batch_duration_seconds", Buckets: quick,
			Help: "How long a batch took to be in a read model, tries that failed included.",
		}, []string{"read_model"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_read_after_wait_seconds", Buckets: quick,
			Help: "How long reads waited for what they name in Read-After, those that had to.",
		}),
		tooLate: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_read_after_timeouts_total", Help: "Reads that were told that the read model has not come so far yet.",
		}),
	}
	r.MustRegister(m.records, m.duration, m.waits, m.tooLate)
	return m
}

// Batches returns what measures a read model's batches.
func (m *Metrics) Batches(readModel string) func(records int, took time.Duration) {
	size, duration := m.read.records.WithLabelValues(readModel), m.read.duration.WithLabelValues(readModel)
	return func(records int, took time.Duration) {
		size.Observe(float64(records))
		duration.Observe(took.Seconds())
	}
}

// ReadAfter measures a read that had to wait.
func (m *Metrics) ReadAfter(took time.Duration, tooLate bool) {
	m.read.waits.Observe(took.Seconds())
	if tooLate {
		m.read.tooLate.Inc()
	}
}
