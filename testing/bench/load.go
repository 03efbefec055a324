package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// newClient is an HTTP client with a number of keep-alive connections.
func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
}

// closedLoop creates users 1, 2, … A client sends the next command after the answer
// to the last command.
func closedLoop(ctx context.Context, url string, clients, commands int) error {
	return eachOnce(ctx, clients, commands, func(ctx context.Context, client *http.Client, n int64) error {
		_, err := post(ctx, client, url, n)
		return err
	})
}

// eachOnce calls do with 1, 2, …, from as many loops as there are clients.
func eachOnce(ctx context.Context, clients, commands int, do func(ctx context.Context, client *http.Client, n int64) error) error {
	client := newClient(clients)
	defer client.CloseIdleConnections()
	var next atomic.Int64
	loops, ctx := errgroup.WithContext(ctx)
	for range clients {
		loops.Go(func() error {
			for n := next.Add(1); n <= int64(commands); n = next.Add(1) {
				if err := do(ctx, client, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return loops.Wait()
}

// post sends a command to create user n, and returns the position of the answer.
func post(ctx context.Context, client *http.Client, url string, n int64) (position string, err error) {
	return postCommand(ctx, client, url, fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"User %d"}}`, n, n))
}

// postCommand sends a command, and returns the position of the answer.
func postCommand(ctx context.Context, client *http.Client, url, body string) (position string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusAccepted {
		return "", fmt.Errorf("%s: %s", body, response.Status)
	}
	return response.Header.Get("Position"), nil
}

// awaitUser reads a user under a position. The server answers when the user is
// visible. A server that gives up is asked again.
func awaitUser(ctx context.Context, client *http.Client, queries, position string, user int64) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/users/%d", queries, user), http.NoBody)
		if err != nil {
			return err
		}
		request.Header.Set("Read-After", position)
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, response.Body) // keeps the connection
		if err := response.Body.Close(); err != nil {
			return err
		}
		switch response.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusServiceUnavailable:
		default:
			return fmt.Errorf("user %d: %s", user, response.Status)
		}
	}
}

// answers are the times of commands at a fixed rate, in ms from the due time.
type answers struct{ acked, visible []float64 }

// warmUp is the time at the beginning of a run at a fixed rate that doesn't count:
// connections are new.
const warmUp = time.Second / 2

// fixedRate creates users at a fixed rate, with numbers above after. If read is set,
// each user is read until visible.
func fixedRate(ctx context.Context, t *target, perSecond int, length time.Duration, after int64, read bool) (a answers, last int64, err error) {
	client := newClient(perSecond) // no command waits for a connection
	defer client.CloseIdleConnections()
	skipped := int(warmUp.Seconds() * float64(perSecond))
	counted := int(length.Seconds() * float64(perSecond))
	acked, visible := make([]float64, skipped+counted), make([]float64, skipped+counted)
	err = paced(ctx, perSecond, len(acked), func(ctx context.Context, i int, due time.Time) error {
		user := after + int64(i) + 1
		position, err := post(ctx, client, t.commands, user)
		acked[i] = time.Since(due).Seconds() * 1000
		if err != nil || !read {
			return err
		}
		err = awaitUser(ctx, client, t.queries, position, user)
		visible[i] = time.Since(due).Seconds() * 1000
		return err
	})
	return answers{acked[skipped:], visible[skipped:]}, after + int64(len(acked)), err
}

// paced calls do at a fixed rate, n times. The next call doesn't wait for the last.
func paced(ctx context.Context, perSecond, n int, do func(ctx context.Context, i int, due time.Time) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	work, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		sleepUntil(due)
		work.Go(func() error { return do(ctx, i, due) })
	}
	return work.Wait()
}

// sleepUntil sleeps more exactly than time.Sleep, which can be late by a millisecond.
func sleepUntil(due time.Time) {
	for left := time.Until(due); left > 0; left = time.Until(due) {
		span := syscall.NsecToTimespec(left.Nanoseconds())
		_ = syscall.Nanosleep(&span, nil) // a signal may end the sleep early
	}
}
