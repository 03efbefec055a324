package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Facts is the state of a process at one time. A nil field is left out of the
// metrics: the process has no such role, or the value is unknown.
type Facts struct {
	// Ready says for each check of /readyz whether the check passes.
	Ready map[string]bool
	// Waiting says for each check that fails what the check waits for. Metrics
	// don't have the reasons.
	Waiting    map[string]string
	Gateway    *Gateway
	Processors *Processors
	State      *State
	Disk       *StateDisk
	Public     []PublicTopic
	Reactions  []Reaction
	ReadModels []ReadModel
}

// Gateway has the numbers of commands in the gateway, and their limits.
type Gateway struct{ InFlight, MaxInFlight, Undecided, MaxUndecided int }

// Processors has the number of partitions with a partition processor in this
// process, the number of commands there without a decision, and how late the oldest
// due command is.
type Processors struct {
	Partitions, Commands int
	Late                 time.Duration
}

// State has the numbers of the state store.
type State struct {
	Streams   int
	Outcomes  int    // remembered outcomes of last commands
	Lag       *int64 // records of the log that are not folded
	Parked    int    // streams with a parked command, which waits for an operator
	Scheduled int    // commands that wait for their time
	Deferred  int    // parked commands, and commands behind parked commands
	Stopped   int    // streams with a record that this binary can't read
	Waiting   int    // streams whose first deferred command waits for another binary
	Ignored   int    // records that don't count

	Cached      int   // streams in memory
	CachedBytes int   // their memory, an estimate
	Unwritten   int   // streams whose changes are not on disk yet
	Hits        int64 // looks for streams that found all in memory
	Misses      int64 // reads of streams, or of older outcomes, from disk
}

// StateDisk has the numbers of the state store's disk.
type StateDisk struct {
	Full       bool
	Bytes      int64 // of all files
	CacheBytes int64 // memory of the block cache and the memtables
	BlockHits  int64 // blocks found in the block cache
	BlockReads int64 // blocks read from disk
	Written    int64 // bytes written by flushes and compactions
	Compacted  int64 // bytes read by compactions
	Debt       int64 // bytes that compactions have yet to write
	Levels     int   // tables that a read may look into
	Stalls     int64 // writes that waited for compactions
	Stalled    time.Duration
}

// PublicTopic has the numbers of one public topic in this process.
type PublicTopic struct {
	Topic     string
	Lag       int64 // records of this process's partitions that the publisher has not looked at
	Published int64 // events sent, repeated ones included
}

// Reaction has the numbers of one reaction in the partitions of this process.
type Reaction struct {
	Name   string
	Lag    int64 // records that the reaction has not answered
	Parked int   // streams that wait for an operator
	Open   int   // parked streams, and streams that go on after a retry
}

// ReadModel has the numbers of one read model in the store.
type ReadModel struct {
	Name       string
	Generation int
	Lag        *int64   // records of the log that are not in the read model
	LagSeconds *float64 // age of the oldest of these records, in seconds
	Parked     int      // parked streams
	// Rebuild is the number of records that are not in the generation of a
	// running rebuild, nil without a rebuild.
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

// totals are the facts that only grow while the process runs.
var totals = map[*prometheus.Desc]bool{}

func total(name, help string, labels ...string) *prometheus.Desc {
	desc := gauge(name, help, labels...)
	totals[desc] = true
	return desc
}

var (
	ready               = gauge("ready", "Whether a check of /readyz passes (1) or not (0).", "check")
	inFlight            = gauge("gateway_in_flight_commands", "Commands on their way to Kafka.")
	inFlightLimit       = gauge("gateway_in_flight_commands_limit", "Limit of commands on their way to Kafka: command_service.max_in_flight.")
	undecided           = gauge("gateway_undecided_commands", "Commands of this process's clients without an outcome yet.")
	undecidedLimit      = gauge("gateway_undecided_commands_limit", "Limit of commands without an outcome: command_service.max_undecided.")
	processorPartitions = gauge("processor_partitions", "Partitions whose commands this process decides.")
	processorCommands   = gauge("processor_commands", "Commands that this process has received and not decided.")
	processorLate       = gauge("processor_late_seconds", "How late the oldest due command is, of the partitions whose commands this process decides.")
	stateStreams        = gauge("state_streams", "Streams in the state store, streams with refused commands only included.")
	stateOutcomes       = gauge("state_outcomes", "Outcomes of last commands in the state store.")
	stateLag            = gauge("state_lag_records", "Records of the log that the state store has not folded.")
	stateParked         = gauge("state_parked_streams", "Streams whose commands wait for an operator.")
	stateDeferred       = gauge("state_deferred_commands", "Commands that wait: parked commands, commands of unknown types, and the commands queued behind them.")
	stateScheduled      = gauge("state_scheduled_commands", "Commands that wait for their time.")
	stateStopped        = gauge("state_stopped_streams", "Streams with a record that this binary can't read.")
	stateWaiting        = gauge("state_waiting_streams", "Streams whose commands wait for a binary that knows the first command's type, or the stream's events.")
	stateIgnored        = gauge("state_ignored_records", "Records of the log that don't count, as this process has folded since its start: messages that are no records, and records that came too late.")
	stateCached         = gauge("state_cached_streams", "Streams of the state store in memory.")
	stateCachedBytes    = gauge("state_cached_bytes", "Memory of the streams in memory, an estimate.")
	stateUnwritten      = gauge("state_unwritten_streams", "Streams whose changes are not on disk yet.")
	stateHits           = total("state_cache_hits_total", "Looks for streams that found all in memory.")
	stateMisses         = total("state_cache_misses_total", "Reads of a stream, or of older outcomes, from the state store's disk.")
	diskFull            = gauge("state_disk_full", "Whether the state store's disk is full (1): commands are refused.")
	diskBytes           = gauge("state_disk_bytes", "Size of the state store's files.")
	diskCache           = gauge("state_disk_cache_bytes", "Memory of the state store's block cache and memtables.")
	diskBlockHits       = total("state_disk_block_hits_total", "Blocks of the state store's files found in the block cache.")
	diskBlockReads      = total("state_disk_block_reads_total", "Blocks read from the state store's files.")
	diskWritten         = total("state_disk_written_bytes_total", "Bytes that the state store has written to its files, compactions included.")
	diskCompacted       = total("state_disk_compacted_bytes_total", "Bytes that compactions of the state store have read.")
	diskDebt            = gauge("state_disk_compaction_debt_bytes", "Bytes that compactions of the state store have yet to write.")
	diskLevels          = gauge("state_disk_levels", "Tables that a read of the state store may look into.")
	diskStalls          = total("state_disk_stalls_total", "Batches of the state store that waited for flushes or compactions.")
	diskStalled         = total("state_disk_stalled_seconds_total", "How long batches of the state store have waited for flushes or compactions.")
	publicLag           = gauge("public_topic_lag_records", "Records of the log in this process's partitions that the publisher of a public topic has not looked at.", "topic")
	published           = total("public_topic_events_total", "Events sent to a public topic, repeated events included.", "topic")
	reactionLag         = gauge("reaction_lag_records", "Records of the log in this process's partitions that a reaction has not answered.", "reaction")
	reactionParked      = gauge("reaction_parked_streams", "Streams of this process's partitions that are parked in a reaction.", "reaction")
	reactionOpen        = gauge("reaction_open_streams", "Streams of this process's partitions that are parked in a reaction, or go on after a retry; at most 64 a partition.", "reaction")
	modelGeneration     = gauge("read_model_generation", "The live generation of a read model.", "read_model")
	modelLag            = gauge("read_model_lag_records", "Records of the log that are not in a read model.", "read_model")
	modelLagSeconds     = gauge("read_model_lag_seconds", "Age of the oldest command with an outcome in the log and not in a read model, since its acceptance; 0 without such a command.", "read_model")
	modelParked         = gauge("read_model_parked_streams", "Streams whose events a read model could not apply.", "read_model")
	modelRebuild        = gauge("read_model_rebuild_lag_records", "Records of the log that are not in the generation of a running rebuild.", "read_model")
	allFacts            = []*prometheus.Desc{
		ready, inFlight, inFlightLimit, undecided, undecidedLimit, processorPartitions, processorCommands, processorLate,
		stateStreams, stateOutcomes, stateLag, stateParked, stateDeferred, stateScheduled, stateStopped, stateWaiting,
		stateIgnored, stateCached, stateCachedBytes, stateUnwritten, stateHits, stateMisses,
		diskFull, diskBytes, diskCache, diskBlockHits, diskBlockReads, diskWritten, diskCompacted, diskDebt, diskLevels, diskStalls, diskStalled,
		publicLag, published, reactionLag, reactionParked, reactionOpen,
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
		kind := prometheus.GaugeValue
		if totals[f.desc] {
			kind = prometheus.CounterValue
		}
		metrics <- prometheus.MustNewConstMetric(f.desc, kind, f.value, f.of...)
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
		add(processorLate, d.Late.Seconds())
	}
	if s := f.State; s != nil {
		add(stateStreams, float64(s.Streams))
		add(stateOutcomes, float64(s.Outcomes))
		add(stateParked, float64(s.Parked))
		add(stateDeferred, float64(s.Deferred))
		add(stateScheduled, float64(s.Scheduled))
		add(stateStopped, float64(s.Stopped))
		add(stateWaiting, float64(s.Waiting))
		add(stateIgnored, float64(s.Ignored))
		add(stateCached, float64(s.Cached))
		add(stateCachedBytes, float64(s.CachedBytes))
		add(stateUnwritten, float64(s.Unwritten))
		add(stateHits, float64(s.Hits))
		add(stateMisses, float64(s.Misses))
		if s.Lag != nil {
			add(stateLag, float64(*s.Lag))
		}
	}
	if d := f.Disk; d != nil {
		all = append(all, d.list()...)
	}
	for _, t := range f.Public {
		add(publicLag, float64(t.Lag), t.Topic)
		add(published, float64(t.Published), t.Topic)
	}
	for _, r := range f.Reactions {
		add(reactionLag, float64(r.Lag), r.Name)
		add(reactionParked, float64(r.Parked), r.Name)
		add(reactionOpen, float64(r.Open), r.Name)
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

func (d *StateDisk) list() []fact {
	full := 0.0
	if d.Full {
		full = 1
	}
	return []fact{
		{diskFull, full, nil}, {diskBytes, float64(d.Bytes), nil}, {diskCache, float64(d.CacheBytes), nil},
		{diskBlockHits, float64(d.BlockHits), nil}, {diskBlockReads, float64(d.BlockReads), nil},
		{diskWritten, float64(d.Written), nil}, {diskCompacted, float64(d.Compacted), nil}, {diskDebt, float64(d.Debt), nil},
		{diskLevels, float64(d.Levels), nil}, {diskStalls, float64(d.Stalls), nil}, {diskStalled, d.Stalled.Seconds(), nil},
	}
}
