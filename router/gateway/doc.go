// Package gateway takes commands over HTTP.
//
//	gateway.go, request.go, decode.go     POST /commands: read it strictly, name the stream
//	pending_request.go, answer.go, prefer.go  send it on the command bus, answer 202, or wait for the outcome
//	import.go                             many in one request
package gateway
