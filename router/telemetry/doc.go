// Package telemetry tells what a process does: metrics for Prometheus.
//
//	metrics.go     the registry, and what answers GET /metrics
//	requests.go    HTTP requests, by route
//	write_side.go  commands: accepted, decided, appended
//	read_side.go   batches folded into read models, and reads that wait
//	facts.go       what is looked up when Prometheus asks, and costs nothing until then
//
// The rooms that are measured know nothing of it: each has a small interface
// or a function of its own, and app wires them. Nothing here is labelled by
// what a client says, but for the types of commands that there are.
package telemetry
