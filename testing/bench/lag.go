package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/readmodel"
)

// lagRate is the number of appended events a second.
const lagRate = 1000

// lag is the time from the append of an event until the list of users has the event,
// at lagRate. The limit is the linger: the time in which a batch gathers.
func lag(ctx context.Context, _ *bench) (rows []row, err error) {
	for _, database := range databases() {
		err := inFolder(func(dir string) error {
			took, err := lagIn(ctx, database, dir)
			for _, q := range []float64{0.5, 0.99} {
				ours, limit := quantile(took, q), linger.Seconds()*1000
				rows = append(rows, row{
					fmt.Sprintf("append to visible in %s, %d/s, p%.0f", database.name, lagRate, q*100), fmt.Sprintf("%.1f ms", ours),
					fmt.Sprintf("linger %.1f ms", limit), ours / limit, "",
				})
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", database.name, err)
		}
	}
	return rows, nil
}

func lagIn(ctx context.Context, database database, dir string) (took []float64, err error) {
	log, err := newFoldLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer log.close()
	store, drop, err := database.open(ctx, dir)
	if err != nil {
		return nil, err
	}
	reader, err := log.LogReader()
	if err != nil {
		return nil, err
	}
	tail, err := log.LogTail()
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Join(tail.Close(), reader.Close(), store.Close(), drop()) }() // all is measured
	if err := store.Prepare(ctx, userlist.Projection, partitions); err != nil {
		return nil, err
	}
	engine := &readmodel.Engine{
		Projection: userlist.Projection, Store: store, Log: reader, Events: registry, Partitions: partitions,
		BatchSize: 1000, Linger: linger, Logger: slog.New(slog.DiscardHandler),
	}
	subscription := log.LogSubscription(log.Group("query-service", userlist.Projection.Name), tail.Reader(reader), engine, readmodel.FlushTimeout)
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return nil, err
	}
	router.AddConsumerHandler("lag", log.Topic(eventlog.TopicEvents), subscription, engine.Handle)
	routed := make(chan error, 1)
	go func() { routed <- router.Run(context.WithoutCancel(ctx)) }()
	<-router.Running()
	defer func() { _ = errors.Join(router.Close(), <-routed, subscription.Close()) }() // all is measured
	for subscription.Ready() != nil && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	bus, err := log.EventBus()
	if err != nil {
		return nil, err
	}
	defer func() { _ = bus.Close() }() // all is measured
	var turn sync.Mutex
	return openLoop(ctx, lagRate, func(ctx context.Context, _ int64) error {
		failed := make(chan error, 1)
		turn.Lock()
		r := log.next(1 << 28) // a new user each
		partition, offset := r.Partition, r.Offset
		bus.Append(r, func(err error) { failed <- err })
		turn.Unlock()
		if err := <-failed; err != nil {
			return err
		}
		engine.Visible(ctx, partition, offset)
		return ctx.Err()
	})
}
