package console

import (
	"context"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/millrace/millrace/router/telemetry"
)

const (
	// sampleEvery is the time between two samples, sampleSpan the age of the
	// oldest sample.
	sampleEvery = time.Second
	sampleSpan  = 15 * time.Minute
	kept        = int(sampleSpan / sampleEvery)
	// quantileSpan is the time whose commands count for p50 and p99, in samples.
	quantileSpan = 10
	// unwatchedFacts is the time between two looks at Kafka and the store while
	// nobody looks at the console: as often as Prometheus asks.
	unwatchedFacts = 15 * time.Second
	// lettersEvery is the time between two counts of dead letters.
	lettersEvery = 5 * time.Second
	// factsTimeout bounds a look at Kafka and the store.
	factsTimeout = 4 * time.Second
)

// Sampler takes a sample of the process's figures every second, for all pages
// together, and keeps the samples of the last 15 minutes.
type Sampler struct {
	// Counts reads the counters of the process. Counts asks nobody else.
	Counts func() telemetry.Counts
	// Facts asks the parts of the process, Kafka and the store.
	Facts func(context.Context) telemetry.Facts
	// DeadLetters counts the dead letters in Kafka.
	DeadLetters func(context.Context) (int64, error)

	mu       sync.Mutex
	counts   []timedCounts // the last ones, for rates and quantiles
	samples  []Sample      // the oldest first
	facts    telemetry.Facts
	letters  *int64
	asked    time.Time // when facts were asked last
	counted  time.Time // when dead letters were counted last
	asking   chan struct{}
	watchers map[chan struct{}]bool
	text     []byte    // the newest figures as JSON
	textOf   time.Time // the time of the newest sample in text
}

type timedCounts struct {
	at time.Time
	telemetry.Counts
}

// Sample is the figures of one second. Rates are per second, durations in
// seconds. A figure is nil if the process has no such part, or if the figure is
// unknown.
type Sample struct {
	Time       time.Time
	Accepted   float64
	Outcomes   []float64 // in the order of telemetry.OutcomeNames
	Outcome    Quantiles
	Visible    Quantiles // in the slowest read model
	Undecided  *int
	Parked     *int             // streams with a parked command
	Lag        map[string]int64 // records, by read model
	LagSeconds *float64         // of the latest read model
}

// Quantiles are nil without commands in the last seconds.
type Quantiles struct {
	P50 *float64 `json:"p50"`
	P99 *float64 `json:"p99"`
}

// Run takes samples until the context ends.
func (s *Sampler) Run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	ticker := time.NewTicker(sampleEvery)
	defer ticker.Stop()
	for {
		if s.due(time.Now()) {
			asking.Go(func() { s.ask(ctx) })
		}
		s.take(time.Now(), s.Counts())
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// due says whether to ask for facts now.
func (s *Sampler) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asking == nil && (len(s.watchers) > 0 || now.Sub(s.asked) >= unwatchedFacts)
}

// ask asks for facts, or waits for an answer that somebody waits for.
func (s *Sampler) ask(ctx context.Context) {
	s.mu.Lock()
	if asking := s.asking; asking != nil {
		s.mu.Unlock()
		select {
		case <-asking:
		case <-ctx.Done():
		}
		return
	}
	asking := make(chan struct{})
	s.asking = asking
	now := time.Now()
	count := now.Sub(s.counted) >= lettersEvery
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, factsTimeout)
	defer cancel()
	facts := s.Facts(ctx)
	var letters *int64
	if count {
		if n, err := s.DeadLetters(ctx); err == nil { // otherwise the number is unknown; /readyz tells why
			letters = &n
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts, s.asked, s.asking = facts, now, nil
	if count {
		s.letters, s.counted = letters, now
	}
	close(asking)
}

// take adds a sample.
func (s *Sampler) take(now time.Time, counts telemetry.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := timedCounts{now.Add(-sampleEvery), counts}
	if n := len(s.counts); n > 0 {
		before = s.counts[n-1]
	}
	s.counts = append(s.counts, timedCounts{now, counts})
	if len(s.counts) > quantileSpan+1 {
		s.counts = s.counts[1:]
	}
	seconds := max(now.Sub(before.at).Seconds(), 0.001)
	sample := Sample{Time: now, Accepted: (counts.Accepted - before.Accepted) / seconds, Outcomes: make([]float64, len(counts.Decided))}
	for i := range counts.Decided {
		sample.Outcomes[i] = (counts.Decided[i] - before.Decided[i]) / seconds
	}
	since := s.counts[0]
	sample.Outcome = quantiles(counts.Outcome.Since(since.Outcome))
	for name, visible := range counts.Visible {
		sample.Visible = slower(sample.Visible, quantiles(visible.Since(since.Visible[name])))
	}
	if f := s.facts; now.Sub(s.asked) <= unwatchedFacts+factsTimeout {
		if f.Gateway != nil {
			sample.Undecided = &f.Gateway.Undecided
		}
		if f.State != nil {
			sample.Parked = &f.State.Parked
		}
		for _, model := range f.ReadModels {
			if model.Lag != nil {
				if sample.Lag == nil {
					sample.Lag = map[string]int64{}
				}
				sample.Lag[model.Name] = *model.Lag
			}
			if model.LagSeconds != nil && (sample.LagSeconds == nil || *model.LagSeconds > *sample.LagSeconds) {
				sample.LagSeconds = model.LagSeconds
			}
		}
		if n := len(s.samples); n > 0 && maps.Equal(s.samples[n-1].Lag, sample.Lag) {
			sample.Lag = s.samples[n-1].Lag // one copy of equal maps
		}
	}
	if len(s.samples) >= kept {
		s.samples = append(s.samples[:0], s.samples[1:]...)
	}
	s.samples = append(s.samples, sample)
	for watcher := range s.watchers {
		select {
		case watcher <- struct{}{}:
		default: // a slow page skips a sample
		}
	}
}

func quantiles(h telemetry.Histogram) (q Quantiles) {
	if p50, ok := h.Quantile(0.5); ok {
		p99, _ := h.Quantile(0.99)
		p50, p99 = rounded(p50), rounded(p99)
		q.P50, q.P99 = &p50, &p99
	}
	return q
}

// slower has the larger figures of two.
func slower(a, b Quantiles) Quantiles {
	larger := func(a, b *float64) *float64 {
		if a == nil || b != nil && *b > *a {
			return b
		}
		return a
	}
	return Quantiles{larger(a.P50, b.P50), larger(a.P99, b.P99)}
}

// rounded is a figure with four digits.
func rounded(v float64) float64 {
	if v == 0 {
		return 0
	}
	unit := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	return math.Round(v*unit) / unit
}

// watch returns a channel that gets a value after each sample. While somebody
// watches, facts are asked every second.
func (s *Sampler) watch() (news <-chan struct{}, leave func()) {
	watcher := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = map[chan struct{}]bool{}
	}
	s.watchers[watcher] = true
	return watcher, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, watcher)
	}
}
