package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Counts are the counters and histograms of a process since the process started.
type Counts struct {
	Accepted float64              // commands that Kafka holds for this process's clients
	Decided  [outcomes]float64    // by outcome, in the order of [OutcomeNames]
	Outcome  Histogram            // seconds from acceptance to the outcome
	Visible  map[string]Histogram // by read model: seconds from acceptance to the commit
	// DeadLetters counts messages that can't be decoded, FailedAppends counts
	// appends that were sent again.
	DeadLetters, FailedAppends float64
}

// OutcomeNames are the names of the outcomes of commands.
func OutcomeNames() []string { return outcomeNames[:] }

// Histogram is a histogram at one time.
type Histogram struct {
	Count  uint64
	Bounds []float64 // the upper bounds of buckets
	Below  []uint64  // for each bound, the number of observations at or below the bound
}

// Counts reads the counters and histograms. Reading takes microseconds, and asks
// no other part.
func (m *Metrics) Counts() Counts {
	c := Counts{
		Outcome: histogramOf(m.write.outcome), Visible: map[string]Histogram{},
		DeadLetters: counterOf(m.write.deadLetters), FailedAppends: counterOf(m.write.failed),
	}
	for _, counter := range m.write.accepted {
		c.Accepted += counterOf(counter)
	}
	for _, decided := range m.write.decided {
		for i, counter := range decided {
			c.Decided[i] += counterOf(counter)
		}
	}
	collected := make(chan prometheus.Metric)
	go func() {
		defer close(collected)
		m.read.visible.Collect(collected)
	}()
	for metric := range collected {
		var read dto.Metric
		if err := metric.Write(&read); err != nil {
			continue // a histogram can always be read
		}
		for _, label := range read.GetLabel() {
			c.Visible[label.GetValue()] = histogramFrom(&read)
		}
	}
	return c
}

func counterOf(counter prometheus.Counter) float64 {
	var read dto.Metric
	_ = counter.Write(&read) // a counter can always be read
	return read.GetCounter().GetValue()
}

func histogramOf(histogram prometheus.Histogram) Histogram {
	var read dto.Metric
	_ = histogram.Write(&read) // a histogram can always be read
	return histogramFrom(&read)
}

func histogramFrom(read *dto.Metric) Histogram {
	from := read.GetHistogram()
	h := Histogram{Count: from.GetSampleCount()}
	for _, bucket := range from.GetBucket() {
		h.Bounds = append(h.Bounds, bucket.GetUpperBound())
		h.Below = append(h.Below, bucket.GetCumulativeCount())
	}
	return h
}

// Since returns the observations since an earlier time.
func (h Histogram) Since(before Histogram) Histogram {
	since := Histogram{Count: h.Count - before.Count, Bounds: h.Bounds, Below: make([]uint64, len(h.Below))}
	for i := range h.Below {
		since.Below[i] = h.Below[i]
		if i < len(before.Below) {
			since.Below[i] -= before.Below[i]
		}
	}
	return since
}

// Quantile returns the value that a part q of the observations doesn't exceed,
// interpolated within a bucket, as histogram_quantile of Prometheus. Above the
// last bound the value is the last bound. Without observations ok is false.
func (h Histogram) Quantile(q float64) (value float64, ok bool) {
	if h.Count == 0 {
		return 0, false
	}
	rank := q * float64(h.Count)
	low, below := 0.0, uint64(0)
	for i, bound := range h.Bounds {
		if n := h.Below[i] - below; n > 0 && float64(h.Below[i]) >= rank {
			return low + (bound-low)*max(0, rank-float64(below))/float64(n), true
		}
		low, below = bound, h.Below[i]
	}
	return low, true
}
