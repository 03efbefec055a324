package service

import (
	"context"
	"errors"
	"sync"

	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/telemetry"
)

var errNoReader = errors.New("the log's reader is not open")

// sample takes samples for the console until stop is called.
func (m *Process) sample(ctx context.Context, models *modelStatus) (sampler *console.Sampler, stop func()) {
	sampler = &console.Sampler{
		Counts: m.metrics.Counts,
		Facts:  func(ctx context.Context) telemetry.Facts { return m.facts(ctx, models) },
		DeadLetters: func(ctx context.Context) (int64, error) {
			reader, ok := models.log.get(ctx)
			if !ok {
				return 0, errNoReader
			}
			return reader.DeadLetters(ctx)
		},
	}
	ctx, cancel := context.WithCancel(ctx)
	var sampling sync.WaitGroup
	sampling.Go(func() { sampler.Run(ctx) })
	return sampler, func() {
		cancel()
		sampling.Wait()
	}
}
