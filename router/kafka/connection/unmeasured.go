package connection

import "github.com/rcrowley/go-metrics"

// Unmeasured is an empty registry of metrics. sarama measures every request
// several times, and nobody reads the metrics.
type Unmeasured struct{ metrics.Registry }

// GetOrRegister returns a metric without function, of the wanted kind.
func (Unmeasured) GetOrRegister(_ string, metric any) any {
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
func (Unmeasured) Unregister(string) {}
