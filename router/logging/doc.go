// Package logging has helpers for the log lines of all packages.
//
//   - sampler.go: a [Sampler], for messages that a single fault repeats for every
//     client or partition.
//   - trace.go: the attribute [Trace], the link from a line to a trace.
//   - stack.go: the [Stack] of a panic in a team's code, for lines and for records.
package logging
