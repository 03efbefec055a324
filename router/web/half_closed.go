package web

import (
	"context"
	"net/http"
	"time"
)

// clientKey is the key of the context that ends when the client leaves.
type clientKey struct{}

// detached is the request with a context that goes on when the client leaves. A
// client that closes its sending side after the request looks to net/http like a
// client that leaves, and still reads the answer. Each handler bounds its work
// by a time of its own.
func detached(r *http.Request) *http.Request {
	return r.WithContext(detachedContext{r.Context()})
}

// detachedContext has the values of the client's context, and never ends. The
// methods are those of [context.WithoutCancel].
type detachedContext struct{ client context.Context }

func (detachedContext) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (detachedContext) Done() <-chan struct{}                   { return nil }
func (detachedContext) Err() error                              { return nil }

func (d detachedContext) Value(key any) any {
	if key == (clientKey{}) {
		return d.client
	}
	return d.client.Value(key)
}

// ClientContext is a context that ends when the client of a [Handler] leaves or
// closes its sending side, for answers without an end.
func ClientContext(r *http.Request) context.Context {
	if client, ok := r.Context().Value(clientKey{}).(context.Context); ok {
		return client
	}
	return r.Context()
}
