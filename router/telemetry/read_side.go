package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// readMetrics has the metrics of the read side.
type readMetrics struct {
	records  *prometheus.HistogramVec
	duration *prometheus.HistogramVec
	visible  *prometheus.HistogramVec
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
			Help: "Time to fold a batch into a read model, failed tries included.",
		}, []string{"read_model"}),
		visible: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "millrace_read_model_visible_seconds", Buckets: quick,
			Help: "Age of a command when its outcome is in a read model, since a gateway accepted the command.",
		}, []string{"read_model"}),
		waits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_read_after_wait_seconds", Buckets: quick,
			Help: "Time that reads waited for the position in Read-After; reads without a wait are not counted.",
		}),
		tooLate: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_read_after_timeouts_total", Help: "Reads with Read-After that were answered with 503, because the read model is not there yet.",
		}),
	}
	r.MustRegister(m.records, m.duration, m.visible, m.waits, m.tooLate)
	return m
}

// Batches returns a callback that measures a read model's batches.
func (m *Metrics) Batches(readModel string) func(records int, took time.Duration) {
	size, duration := m.read.records.WithLabelValues(readModel), m.read.duration.WithLabelValues(readModel)
	return func(records int, took time.Duration) {
		size.Observe(float64(records))
		duration.Observe(took.Seconds())
	}
}

// Visible returns a callback that measures the age of commands in a read model.
func (m *Metrics) Visible(readModel string) func(time.Duration) {
	visible := m.read.visible.WithLabelValues(readModel)
	return func(age time.Duration) { visible.Observe(age.Seconds()) }
}

// ReadAfter measures a read that waited; tooLate says that the wait timed out.
func (m *Metrics) ReadAfter(took time.Duration, tooLate bool) {
	m.read.waits.Observe(took.Seconds())
	if tooLate {
		m.read.tooLate.Inc()
	}
}
