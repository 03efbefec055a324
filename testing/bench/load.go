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

// load is commands that create users 1, 2, …, sent by keep-alive clients.
type load struct{ commands, clients int }

func (l load) run(ctx context.Context, url string) error {
	transport := &http.Transport{MaxIdleConnsPerHost: l.clients, MaxConnsPerHost: l.clients}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var next atomic.Int64
	clients, ctx := errgroup.WithContext(ctx)
	for range l.clients {
		clients.Go(func() error {
			for n := next.Add(1); n <= int64(l.commands); n = next.Add(1) {
				if err := post(ctx, client, url, n); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return clients.Wait()
}

func post(ctx context.Context, client *http.Client, url string, n int64) error {
	body := fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"User %d"}}`, n, n)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusAccepted {
		return fmt.Errorf("command %d: %s", n, response.Status)
	}
	return nil
}
