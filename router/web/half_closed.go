package web

import (
	"context"
	"net/http"
)

// clientKey is the key of the context that ends when the client leaves.
type clientKey struct{}

// detached is the request with a context that goes on when the client leaves. A
// client that closes its sending side after the request looks to net/http like a
// client that leaves, and still reads the answer. Each handler bounds its work
// by a time of its own.
func detached(r *http.Request) *http.Request {
	client := r.Context()
	return r.WithContext(context.WithValue(context.WithoutCancel(client), clientKey{}, client))
}

// ClientContext is a context that ends when the client of a [Handler] leaves or
// closes its sending side, for answers without an end.
func ClientContext(r *http.Request) context.Context {
	if client, ok := r.Context().Value(clientKey{}).(context.Context); ok {
		return client
	}
	return r.Context()
}
