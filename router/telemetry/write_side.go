package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/router/eventlog"
)

// WriteSide has the metrics of commands. All counters are looked up beforehand,
// because counting is on the way of every command.
type WriteSide struct {
	accepted    map[string]prometheus.Counter
	decided     map[string]*[outcomes]prometheus.Counter
	outcome     prometheus.Histogram
	appended    prometheus.Histogram
	failed      prometheus.Counter
	deadLetters prometheus.Counter
	standstill  prometheus.Histogram
}

// otherType stands for an unknown command type, such as the type in a record
// that a newer process wrote into this process's partition.
const otherType = "other"

// outcomes is the number of outcomes.
const outcomes = 6

// outcomeNames has the names of outcomes, by outcomeOf.
var outcomeNames = [outcomes]string{"succeeded", "unchanged", "refused", "parked", "queued", "scheduled"}

func outcomeOf(recordType string) int {
	switch recordType {
	case eventlog.TypeCommandUnchanged:
		return 1
	case eventlog.TypeCommandRefused:
		return 2
	case eventlog.TypeCommandParked:
		return 3
	case eventlog.TypeCommandQueued, eventlog.TypeCommandClaiming:
		return 4
	case eventlog.TypeCommandScheduled:
		return 5
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
		Help: "Outcomes read back from the log in this process's partitions, by command type and outcome. A parked, queued or scheduled command gets another outcome later.",
	}, []string{"type", "outcome"})
	w := &WriteSide{
		accepted: map[string]prometheus.Counter{}, decided: map[string]*[outcomes]prometheus.Counter{},
		outcome: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_command_outcome_seconds", Buckets: quick,
			Help: "Age of a command when its outcome is read back from the log, since a gateway accepted the command.",
		}),
		appended: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_append_duration_seconds", Buckets: quick,
			Help: "Time until all in-sync replicas hold an outcome.",
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_append_failures_total", Help: "Failed appends, which are sent again.",
		}),
		deadLetters: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "millrace_dead_letters_total", Help: "Messages that can't be decoded, moved to topic dead-letters.",
		}),
		standstill: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "millrace_state_standstill_seconds", Buckets: []float64{.00001, .0001, .0005, .001, .0025, .005, .01, .02, .05, .1, .5},
			Help: "How long a partition stood still, each time that changed streams were frozen for the disk, or became clean.",
		}),
	}
	for _, name := range append(types[:len(types):len(types)], otherType) {
		w.accepted[name] = accepted.WithLabelValues(name)
		w.decided[name] = new([outcomes]prometheus.Counter)
		for i, outcome := range outcomeNames {
			w.decided[name][i] = decided.WithLabelValues(name, outcome)
		}
	}
	r.MustRegister(accepted, decided, w.outcome, w.appended, w.failed, w.deadLetters, w.standstill)
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

// Decided counts a command's outcome, read back from the log.
func (w *WriteSide) Decided(commandType string, r *eventlog.Record) {
	counters := w.decided[commandType]
	if counters == nil {
		counters = w.decided[otherType]
	}
	counters[outcomeOf(r.Type)].Inc()
	w.outcome.Observe(max(0, time.Since(r.Time).Seconds()))
}

// Appended measures an append, or counts a failed append.
func (w *WriteSide) Appended(took time.Duration, err error) {
	if err != nil {
		w.failed.Inc()
		return
	}
	w.appended.Observe(took.Seconds())
}

// DeadLettered counts a dead letter.
func (w *WriteSide) DeadLettered() { w.deadLetters.Inc() }

// StoodStill measures how long a partition stood still for the state store's
// disk.
func (w *WriteSide) StoodStill(took time.Duration) { w.standstill.Observe(took.Seconds()) }
