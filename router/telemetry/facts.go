package telemetry

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Facts are how a process stands at a moment. What it has nothing of, or what
// nobody knows just then, is nil, and left out.
type Facts struct {
	// Ready says of each part of the process, or what it needs, whether it is
	// ready.
	Ready      map[string]bool
	Gateway    *Gateway
	Processors *Processors
	State      *State
	ReadModels []ReadModel
}

// Gateway is how many commands are on their way through, and how many may be.
type Gateway struct{ InFlight, MaxInFlight, Undecided, MaxUndecided int }

// Processors are the partitions whose commands this process decides, and the
// commands of them that are under way.
type Processors struct{ Partitions, Commands int }

// State is the write side's fold of the log.
type State struct {
	Streams  int
	Outcomes int    // of their last commands, as many as are remembered
	Lag      *int64 // records of the log that are not folded
	Parked   int    // streams whose first held command waits for an operator
	Deferred int    // commands that wait
	Stopped  int    // streams that this binary can't read
}

// ReadModel is how a read model stands in the store.
type ReadModel struct {
	Name       string
	Generation int
	Lag        *int64   // records of the log that are not in
	LagSeconds *float64 // the age of the oldest of them
	Parked     int
	// Rebuild is how many records of the log are not in the generation that is
	// being filled, nil if there is none.
	Rebuild *int64
}

type fact struct {
	desc  *prometheus.Desc
	value float64
	of    []string
}

func gauge(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("millrace_"+name, help, labels, nil)
}

var (
	ready               = gauge("ready", "Whether a part of the process, or what it needs, is ready (1) or not (0), as /readyz tells.", "check")
	inFlight            = gauge("gateway_in_flight_commands", "Commands on their way to Kafka.")
	inFlightLimit       = gauge("gateway_in_flight_commands_limit", "How many may be: command_service.max_in_flight.")
	undecided           = gauge("gateway_undecided_commands", "Commands of this process's clients that have no outcome yet.")
	undecidedLimit      = gauge("gateway_undecided_commands_limit", "How many may be: command_service.max_undecided.")
	processorPartitions = gauge("processor_partitions", "Partitions whose commands this process decides.")
	processorCommands   = gauge("processor_commands", "Commands of those partitions that have come and are not decided.")
	stateStreams        = gauge("state_streams", "Streams in the state store, those included whose commands were only refused.")
	stateOutcomes       = gauge("state_outcomes", "Outcomes of the streams' last commands that the state store remembers.")
	stateLag            = gauge("state_lag_records", "Records of the log that the state store has not folded.")
	stateParked         = gauge("state_parked_streams", "Streams whose commands wait for an operator.")
	stateDeferred       = gauge("state_deferred_commands", "Commands of parked streams: the parked commands, and the commands queued behind them.")
	stateStopped        = gauge("state_stopped_streams", "Streams with a record that this binary can't read.")
	modelGeneration     = gauge("read_model_generation", "The live generation of a read model.", "read_model")
	modelLag            = gauge("read_model_lag_records", "Records of the log that are not in a read model.", "read_model")
	modelLagSeconds     = gauge("read_model_lag_seconds", "How long ago the oldest command was taken whose outcome is in the log and not in a read model; 0 if there is none.", "read_model")
	modelParked         = gauge("read_model_parked_streams", "Streams whose events a read model could not apply.", "read_model")
	modelRebuild        = gauge("read_model_rebuild_lag_records", "Records of the log that are not in the generation that is being filled, while one is.", "read_model")
	allFacts            = []*prometheus.Desc{
		ready, inFlight, inFlightLimit, undecided, undecidedLimit, processorPartitions, processorCommands,
		stateStreams, stateOutcomes, stateLag, stateParked, stateDeferred, stateStopped,
		modelGeneration, modelLag, modelLagSeconds, modelParked, modelRebuild,
	}
)

// factCollector looks the facts up when Prometheus asks.
type factCollector struct {
	facts func(context.Context) Facts
}

// Describe implements [prometheus.Collector].
func (c *factCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range allFacts {
		descs <- desc
	}
}

// Collect implements [prometheus.Collector].
func (c *factCollector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	for _, f := range c.facts(ctx).list() {
		metrics <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, f.value, f.of...)
	}
}

func (f Facts) list() (all []fact) {
	add := func(desc *prometheus.Desc, value float64, of ...string) { all = append(all, fact{desc, value, of}) }
	for check, ok := range f.Ready {
		value := 0.0
		if ok {
			value = 1
		}
		add(ready, value, check)
	}
	if g := f.Gateway; g != nil {
		add(inFlight, float64(g.InFlight))
		add(inFlightLimit, float64(g.MaxInFlight))
		add(undecided, float64(g.Undecided))
		add(undecidedLimit, float64(g.MaxUndecided))
	}
	if d := f.Processors; d != nil {
		add(processorPartitions, float64(d.Partitions))
		add(processorCommands, float64(d.Commands))
	}
	if s := f.State; s != nil {
		add(stateStreams, float64(s.Streams))
		add(stateOutcomes, float64(s.Outcomes))
		add(stateParked, float64(s.Parked))
		add(stateDeferred, float64(s.Deferred))
		add(stateStopped, float64(s.Stopped))
		if s.Lag != nil {
			add(stateLag, float64(*s.Lag))
		}
	}
	for _, m := range f.ReadModels {
		add(modelGeneration, float64(m.Generation), m.Name)
		add(modelParked, float64(m.Parked), m.Name)
		if m.Lag != nil {
			add(modelLag, float64(*m.Lag), m.Name)
		}
		if m.LagSeconds != nil {
			add(modelLagSeconds, *m.LagSeconds, m.Name)
		}
		if m.Rebuild != nil {
			add(modelRebuild, float64(*m.Rebuild), m.Name)
		}
	}
	return all
}
