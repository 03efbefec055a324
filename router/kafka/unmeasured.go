package kafka

import "github.com/rcrowley/go-metrics"

// unmeasured is a registry that keeps nothing: sarama measures every request
// several times over, for nobody.
type unmeasured struct{ metrics.Registry }

// GetOrRegister returns a metric of the asked kind that does nothing.
func (unmeasured) GetOrRegister(_ string, metric any) any {
	switch metric.(type) {
	case func() metrics.Meter:
		return metrics.NilMeter{}
	case func() metrics.Counter:
		return metrics.NilCounter{}
	case func() metrics.Histogram:
		return metrics.NilHistogram{}
	default:
		return metric
	}
}

// Unregister does nothing: nothing was registered.
func (unmeasured) Unregister(string) {}
