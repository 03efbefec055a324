package service

import (
	"context"
	"io"
	"sync"
)

// lazyClient is a client of Kafka that opens when somebody needs the client, and
// stays open until the end of the process.
type lazyClient[T io.Closer] struct {
	open func() (T, error)

	mu      sync.Mutex
	client  *T            // nil until open has opened the client
	opening chan struct{} // closed at the end of an attempt to open; nil between attempts
	closed  bool
}

// get returns the client, and false if the client is not open in time. Opening
// goes on in the background, because brokers that are away take longer than a
// caller waits.
func (c *lazyClient[T]) get(ctx context.Context) (client T, ok bool) {
	c.mu.Lock()
	if c.client == nil && c.opening == nil && !c.closed {
		opening := make(chan struct{})
		c.opening = opening
		go func() {
			defer close(opening)
			client, err := c.open()
			c.mu.Lock()
			defer c.mu.Unlock()
			c.opening = nil
			switch {
			case err != nil: // the next caller tries again
			case c.closed:
				_ = client.Close()
			default:
				c.client = &client
			}
		}()
	}
	opening := c.opening
	c.mu.Unlock()
	if opening != nil {
		select {
		case <-opening:
		case <-ctx.Done():
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == nil {
		return client, false
	}
	return *c.client, true
}

func (c *lazyClient[T]) close(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.client == nil {
		return nil
	}
	return (*c.client).Close()
}
