// Package web is the HTTP ground that the command gateway, the read API and
// the admin address stand on: problems (RFC 9457), a router that answers
// every wrong path and method itself, and a server with all its timeouts set.
package web
