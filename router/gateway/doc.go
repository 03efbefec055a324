// Package gateway takes commands over HTTP.
//
//	gateway.go          POST /commands, for one command or many
//	request.go          the request: media type, id and time of the command
//	decode.go           the body, read strictly into a command of an aggregate
//	cancel.go           cancelScheduled, a command of the router itself
//	prefer.go           Prefer: wait, the time to wait for the outcome
//	limit.go            bounds of the commands under way
//	pending_request.go  the command on the command bus, and the wait for the outcome
//	settle.go           the short wait of a 202 for the read models
//	answer.go           the outcome as an answer, or 202
//	import.go           many commands in one request (NDJSON)
package gateway
