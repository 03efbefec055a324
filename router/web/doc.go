// Package web is the HTTP ground of the command gateway, the read API and the
// admin address.
//
//   - problem.go: [Problem], the answer to a failed request (RFC 9457).
//   - refused.go: [CommandRefused], from an aggregate's refusal to a problem.
//   - router.go: [NewRouter], a router that answers a wrong path or method with a
//     problem, and [Handler], a handler that returns errors.
//   - half_closed.go: [ClientContext], the end of a client that half-closes.
//   - server.go: [Server], a server with all timeouts set.
//   - certificates.go: [Certificates], TLS certificates that are read again when
//     their files change.
//
// Package guard, in the folder below, decides who may call an address.
package web
