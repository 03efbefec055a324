package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/router/eventlog"
)

// WriteSide counts what becomes of commands. It is on their way: all its
// counters are looked up beforehand.
type WriteSide struct {
	accepted    map[string]prometheus.Counter
	decided     map[string]*[outcomes]prometheus.Counter
	outcome     prometheus.Histogram
	appended    prometheus.Histogram
	failed      prometheus.Counter
	deadLetters prometheus.Counter
}

// otherType stands for command types that nobody here knows: those of records
// that another process wrote into a partition of ours.
const otherType = "other"

// outcomes is how many there are.
const outcomes = 5

// outcomeNames are in the order of outcomeOf.
var outcomeNames = [outcomes]string{"succeeded", "unchanged", "refused", "parked", "queued"}

func outcomeOf(recordType string) int {
	switch recordType {
	case eventlog.TypeCommandUnchanged:
		return 1
	case eventlog.TypeCommandRefused:
		return 2
	case eventlog.TypeCommandParked:
		return 3
	case eventlog.TypeCommandQueued:
		return 4
	default:
		return 0
	}
}

func newWriteSide(r prometheus.Registerer, types []string) *WriteSide {
	accepted := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_commands_accepted_total", Help: "Commands that Kafka holds for this process's clients, repeated ones included, by type.",
	}, []string{"type"})
	decided := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "millrace_commands_decided_total",
		Help: "Outcomes read back from the log in the partitions that this process has, by command type and outcome. What is parked or queued gets another outcome later.",
	}, []string{"type", "outcome"})
	w := &WriteSide{
		accepted: map[string]prometheus.Counter{}, decided: map[string]*[outcomes]prometheus.Counter{},
		outcome: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_command_outcome_seconds", Buckets: quick,
			Help: "How old a command was, since a gateway took it, when its outcome was read back from the log.",
		}),
		appended: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_append_duration_seconds", Buckets: quick,
			Help: "How long Kafka took to hold an outcome in all in-sync replicas.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_append_failures_total", Help: "Appends that failed, and were sent again.",
		}),
		deadLetters: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_dead_letters_total", Help: "Messages that can't be decoded, put into topic dead-letters.",
		}),
	}
	for _, name := range append(types[:len(types):len(types)], otherType) {
		w.accepted[name] = accepted.WithLabelValues(name)
		w.decided[name] = new([outcomes]prometheus.Counter)
		for i, outcome := range outcomeNames {
			w.decided[name][i] = decided.WithLabelValues(name, outcome)
		}
	}
	r.MustRegister(accepted, decided, w.outcome, w.appended, w.failed, w.deadLetters)
	return w
}

// Accepted counts a command that Kafka holds.
func (w *WriteSide) Accepted(commandType string) {
	counter := w.accepted[commandType]
	if counter == nil {
		counter = w.accepted[otherType]
	}
	counter.Inc()
}

// Decided counts a command's outcome, when it is read back.
func (w *WriteSide) Decided(commandType string, r *eventlog.Record) {
	counters := w.decided[commandType]
	if counters == nil {
		counters = w.decided[otherType]
	}
	counters[outcomeOf(r.Type)].Inc()
	w.outcome.Observe(max(0, time.Since(r.Time).Seconds()))
}

// Appended measures an append.
func (w *WriteSide) Appended(took time.Duration, err error) {
	if err != nil {
		w.failed.Inc()
		return
	}
	w.appended.Observe(took.Seconds())
}

// DeadLettered counts a dead letter.
func (w *WriteSide) DeadLettered() { w.deadLetters.Inc() }
