package main

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// catchUp is the speed of a new query service that reads a long log, from the start of
// the process until the process is ready. The limit is a consumer that only decodes
// the same events. Broker and consumer are in this process.
func catchUp(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		log, err := newFoldLog(ctx, dir)
		if err != nil {
			return err
		}
		defer log.close()
		if err := log.fill(b.events, max(b.events/eventsAUser, 1)); err != nil {
			return err
		}
		kinds := []struct {
			what, models string
			goal         goal
			took         rates
		}{
			{what: "users", models: "users", goal: atLeast(0.36, 0.3)},
			{what: "all read models", goal: atLeast(0.18, 0.14)},
		}
		var decoded rates
		for range b.runs {
			if err := decoded.time(b.events, log.decode); err != nil {
				return err
			}
			for i := range kinds {
				if err := kinds[i].took.catchUp(ctx, b, dir, log, kinds[i].models); err != nil {
					return fmt.Errorf("%s: %w", kinds[i].what, err)
				}
			}
		}
		for i := range kinds {
			k := &kinds[i]
			rows = append(rows, row{
				fmt.Sprintf("catch-up with %d events, %s", b.events, k.what), perSecond(k.took.rate()),
				named("decoding only", perSecond(decoded.rate())), k.took.rate() / decoded.rate(), k.goal,
			}, micros("processor time of an event caught up, "+k.what, &k.took, "decoding only", &decoded, goal{}))
		}
		return nil
	})
	return rows, err
}

// catchUp runs a query service once, with a store of its own.
func (r *rates) catchUp(ctx context.Context, b *bench, dir string, log *foldLog, models string) error {
	return inFolder(func(data string) error {
		settings := []string{"roles=query-service", "data_dir=" + data, "query_service.read_models=" + models}
		if realBrokers() == nil {
			settings = append(settings, "kafka.brokers="+strings.Join(log.Brokers, ","))
		}
		began := time.Now()
		t, err := startMillrace(ctx, dir, settings...)
		if err != nil {
			return err
		}
		defer t.stop()
		took := time.Since(began)
		used, err := t.processorTime()
		r.perSecond = append(r.perSecond, float64(b.events)/took.Seconds())
		r.micros = append(r.micros, float64(used.Microseconds())/float64(b.events))
		return err
	})
}
