package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// besideUsers users get besideEach commands in a run. Each command waits for its
	// outcome.
	besideUsers, besideEach = 16, 40
)

// parked is the cost of a parked user for other users: the p99 from POST to outcome
// while commands of the parked user queue up, beside the same load without a parked
// user.
func parked(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		t, err := startMillrace(ctx, dir)
		if err != nil {
			return err
		}
		defer t.stop()
		if err := breakStream(ctx, logAt(dir, t), "ill"); err != nil {
			return err
		}
		client := newClient(b.clients)
		defer client.CloseIdleConnections()
		var ill, well, ratios []float64
		for run := range b.runs {
			var p99 [2]float64
			for i, crowd := range []string{"ill", "well"} {
				took, err := beside(ctx, client, t.commands, crowd, run)
				if err != nil {
					return err
				}
				p99[i] = quantile(took, 0.99)
			}
			ill, well, ratios = append(ill, p99[0]), append(well, p99[1]), append(ratios, p99[0]/p99[1])
		}
		rows = append(rows, row{
			"POST to outcome beside a parked user, p99", milliseconds(median(ill)),
			named("nobody parked", milliseconds(median(well))), median(ratios), atMost(1.5, 1.5),
		})
		return nil
	})
	return rows, err
}

// breakStream appends a record that counts and can't be decoded to the stream of a
// user. All commands of the user are parked then.
func breakStream(ctx context.Context, kafka *kafka.Kafka, user string) error {
	bus, err := kafka.EventBus()
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }() // the delivery is known
	r := &eventlog.Record{
		Type: "userCreated", Stream: users.Aggregate.Stream(user), Time: time.Now(), Seq: 1, Version: 1,
		CommandID: "broken", CommandHash: "broken", CommandPosition: eventlog.CommandPosition{TopicID: "none"}, Body: []byte("{"),
	}
	r.Seal()
	appended := make(chan error, 1)
	bus.Append(r, func(err error) { appended <- err })
	select {
	case err := <-appended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// beside returns the times from POST to outcome of some users' commands, in ms. All
// the time commands of user crowd come in too.
func beside(ctx context.Context, client *http.Client, url, crowd string, run int) ([]float64, error) {
	var over atomic.Bool
	crowding, crowded := errgroup.WithContext(ctx)
	crowding.Go(func() error {
		for n := 0; !over.Load() && crowded.Err() == nil; n++ {
			if _, err := rename(crowded, client, url, crowd, fmt.Sprintf("Name %d %d", run, n), false); err != nil {
				return err
			}
			time.Sleep(5 * time.Millisecond)
		}
		return nil
	})
	took := make([]float64, besideUsers*besideEach)
	asking, asked := errgroup.WithContext(ctx)
	for i := range besideUsers {
		asking.Go(func() error {
			for n := range besideEach {
				began := time.Now()
				status, err := rename(asked, client, url, fmt.Sprintf("o%d", i), fmt.Sprintf("Name %d %d", run, n), true)
				if err != nil {
					return err
				}
				if status != http.StatusOK && status != http.StatusNotFound { // the users don't exist
					return fmt.Errorf("a command beside user %s: status %d", crowd, status)
				}
				took[i*besideEach+n] = time.Since(began).Seconds() * 1000
			}
			return nil
		})
	}
	err := asking.Wait()
	over.Store(true)
	if crowdErr := crowding.Wait(); err == nil {
		err = crowdErr
	}
	return took, err
}

// rename sends a command, with or without waiting for the outcome.
func rename(ctx context.Context, client *http.Client, url, user, name string, wait bool) (int, error) {
	body := fmt.Sprintf(`{"type":"renameUser","payload":{"id":%q,"name":%q}}`, user, name)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	if wait {
		request.Header.Set("Prefer", "wait=30")
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, response.Body) // keeps the connection
	return response.StatusCode, response.Body.Close()
}
