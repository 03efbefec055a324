// Package telemetry tells what a process does: metrics for Prometheus, and
// traces for OpenTelemetry.
//
//   - metrics.go: [Metrics], the registry and the answer to GET /metrics.
//   - requests.go: HTTP requests, by route.
//   - write_side.go: [WriteSide], commands accepted, decided and appended.
//   - read_side.go: batches folded into read models, and waiting reads.
//   - counts.go: [Counts], the counters for the console.
//   - facts.go: [Facts], values that are looked up for each scrape only.
//   - traces.go: [Traces], the exporter of traces and the spans of requests.
//   - command_spans.go: the spans of a command, from the gateway to read models.
//
// The measured packages don't import telemetry: each has a small interface or a
// callback, and package service wires both. Labels never have text of clients;
// the command types are the types of registered commands.
package telemetry
