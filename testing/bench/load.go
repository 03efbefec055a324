package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

// newClient is an HTTP client with a number of keep-alive connections.
func newClient(connections int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}
}

// closedLoop creates users 1, 2, … A client sends the next command after the answer
// to the last command.
func closedLoop(ctx context.Context, url string, clients, commands int) error {
	client := newClient(clients)
	defer client.CloseIdleConnections()
	var next atomic.Int64
	loops, ctx := errgroup.WithContext(ctx)
	for range clients {
		loops.Go(func() error {
			for n := next.Add(1); n <= int64(commands); n = next.Add(1) {
				if _, err := post(ctx, client, url, n); err != nil {
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
	body := fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"User %d"}}`, n, n)
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
		return "", fmt.Errorf("command %d: %s", n, response.Status)
	}
	return response.Header.Get("Position"), nil
}
