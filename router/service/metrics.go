package service

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/gateway"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/publish"
	"github.com/millrace/millrace/router/reaction/runner"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/statestore"
	"github.com/millrace/millrace/router/telemetry"
)

// stats are the parts of the process that metrics ask. A part is nil until the
// part has started.
type stats struct {
	gateway    atomic.Pointer[gateway.Gateway]
	states     atomic.Pointer[decider.StateStore]
	dispatcher atomic.Pointer[decider.Dispatcher]
	store      atomic.Pointer[statestore.Store]
	publisher  atomic.Pointer[publish.Publisher]
	reactions  atomic.Pointer[runner.Runner]
}

func newMetrics(m *Process, models *modelStatus) *telemetry.Metrics {
	return telemetry.NewMetrics(buildOf(), decider.CommandTypes(m.Service.folded), func(ctx context.Context) telemetry.Facts {
		return m.facts(ctx, models)
	})
}

func buildOf() telemetry.Build {
	build := telemetry.Build{Version: "unknown", Revision: "unknown"}
	if info, ok := debug.ReadBuildInfo(); ok {
		build.Version, build.GoVersion = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				build.Revision = s.Value
			}
		}
	}
	return build
}

// newTraces returns nil if the configuration has no endpoint for traces.
func newTraces(ctx context.Context, m *Process) (*telemetry.Traces, error) {
	cfg := m.Config.Telemetry.Traces
	if cfg.Endpoint == "" {
		return nil, nil
	}
	service := "millrace"
	if len(m.Config.Roles) == 1 {
		service = string(m.Config.Roles[0])
	}
	return telemetry.NewTraces(ctx, telemetry.TraceSettings{
		Endpoint: cfg.Endpoint, SampleRatio: cfg.SampleRatio, Service: service, Build: buildOf(), Log: m.Log,
		Commands: m.kafka.Topic(eventlog.TopicCommands), Events: m.kafka.Topic(eventlog.TopicEvents),
	})
}

// facts asks all parts at the same time, because a part that is away answers
// slowly.
func (m *Process) facts(ctx context.Context, models *modelStatus) telemetry.Facts {
	f := telemetry.Facts{Ready: map[string]bool{}, Waiting: map[string]string{}}
	var asking sync.WaitGroup
	asking.Go(func() {
		failing := m.health.recent(ctx)
		for _, name := range m.health.names() {
			f.Ready[name] = failing[name] == nil && failing["process"] == nil
		}
		for name, err := range failing {
			f.Waiting[name] = err.Error()
		}
	})
	if gateway := m.stats.gateway.Load(); gateway != nil {
		inFlight, undecided := gateway.UnderWay()
		f.Gateway = &telemetry.Gateway{InFlight: inFlight, MaxInFlight: gateway.MaxInFlight, Undecided: undecided, MaxUndecided: gateway.MaxUndecided}
	}
	if dispatcher := m.stats.dispatcher.Load(); dispatcher != nil {
		partitions, commands := dispatcher.UnderWay()
		f.Processors = &telemetry.Processors{Partitions: partitions, Commands: commands, Late: dispatcher.Late()}
	}
	if publisher := m.stats.publisher.Load(); publisher != nil {
		for _, s := range publisher.Stats() {
			f.Public = append(f.Public, telemetry.PublicTopic{Topic: s.Topic, Lag: s.Lag, Published: s.Published})
		}
	}
	if reactions := m.stats.reactions.Load(); reactions != nil {
		for _, r := range reactions.Stats() {
			f.Reactions = append(f.Reactions, telemetry.Reaction{Name: r.Reaction, Lag: r.Lag, Parked: r.Parked, Open: r.Open})
		}
	}
	states := m.stats.states.Load()
	if states != nil || models.store != nil {
		ends := models.ends(ctx)
		if states != nil {
			f.State = stateFacts(states.Stats(), ends)
			if store := m.stats.store.Load(); store != nil {
				f.Disk = diskFacts(store.Stats())
			}
		}
		if models.store != nil {
			f.ReadModels = models.facts(ctx, ends)
		}
	}
	asking.Wait()
	return f
}

// stateFacts are the facts of a state store, with the lag behind the ends of the
// log. Without the ends there is no lag.
func stateFacts(s decider.Stats, ends []int64) *telemetry.State {
	facts := &telemetry.State{
		Streams: s.Streams, Outcomes: s.Outcomes, Parked: s.Parked, Deferred: s.Deferred, Scheduled: s.Scheduled, Stopped: s.Stopped, Waiting: s.Waiting, Ignored: s.Ignored,
		Cached: s.Cached, CachedBytes: s.CachedBytes, Unwritten: s.Unwritten, Hits: s.Hits, Misses: s.Misses,
	}
	if ends != nil {
		lag := -s.Folded
		for _, end := range ends {
			lag += end
		}
		lag = max(0, lag) // the state store may have gone on
		facts.Lag = &lag
	}
	return facts
}

// diskFacts are the facts of the state store's disk.
func diskFacts(s statestore.Stats) *telemetry.StateDisk {
	return &telemetry.StateDisk{
		Full: s.Full, Bytes: s.DiskBytes, CacheBytes: s.CacheBytes + s.MemtableBytes, BlockHits: s.Hits, BlockReads: s.Misses,
		Written: s.Written, Compacted: s.Read, Debt: s.Debt, Levels: s.Levels, Stalls: s.Stalls, Stalled: s.Stalled,
	}
}

// facts are the facts of the read models. A read model that the store can't tell
// about is left out.
func (s *modelStatus) facts(ctx context.Context, ends []int64) (facts []telemetry.ReadModel) {
	agesCtx, cancel := context.WithTimeout(ctx, endsTimeout)
	defer cancel()
	age := s.ages(agesCtx)
	for _, p := range s.Service.projections() {
		status, err := readmodel.StatusOf(ctx, s.store, p, ends)
		if err != nil {
			continue // /readyz tells why
		}
		model := telemetry.ReadModel{Name: status.Name, Generation: status.Generation, Lag: status.Lag, Parked: status.Parked.Count}
		if status.Lag != nil {
			model.LagSeconds = oldest(&status, age)
			model.Rebuild = s.rebuildLag(ctx, p, ends)
		}
		facts = append(facts, model)
	}
	return facts
}

// rebuildLag is how many records the generation under construction has yet to
// fold, nil if no rebuild runs.
func (s *modelStatus) rebuildLag(ctx context.Context, p *projection.Projection, ends []int64) *int64 {
	building, err := s.store.Building(ctx, p)
	if err != nil || len(building) == 0 {
		return nil
	}
	lag := operations.Behind(readmodel.Generation{Checkpoints: building}, ends)
	return &lag
}

// oldest is the age in seconds of the oldest record that the read model lacks,
// nil if nobody knows.
func oldest(status *readmodel.Status, age func(partition int32, offset int64) (time.Duration, bool)) *float64 {
	seconds, known := 0.0, *status.Lag == 0
	for _, p := range status.Partitions {
		if *p.Lag == 0 {
			continue
		}
		if old, ok := age(p.Partition, p.Checkpoint); ok {
			seconds, known = max(seconds, old.Seconds()), true
		}
	}
	if !known {
		return nil
	}
	return &seconds
}

// ages returns a function that looks up the age of a record. Each record is read
// once.
func (s *modelStatus) ages(ctx context.Context) func(partition int32, offset int64) (time.Duration, bool) {
	known := map[kafka.Place]time.Time{}
	return func(partition int32, offset int64) (time.Duration, bool) {
		at := kafka.Place{Partition: partition, Offset: offset}
		if _, ok := known[at]; !ok {
			reader, ok := s.log.get(ctx)
			if !ok {
				return 0, false
			}
			record, err := reader.At(ctx, partition, offset)
			if err != nil {
				return 0, false
			}
			known[at] = record.Time
		}
		when := known[at]
		return max(0, time.Since(when)), !when.IsZero() // a message that is no record has no time
	}
}
