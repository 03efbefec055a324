// Package history has the history of a torture run, which is all requests of the
// clients with their answers, and the checker. The checker compares the history
// with both topics of Kafka at the end of the run.
//
// The checker has its own view of the records that count: the gate of
// router/eventlog, the rules of the domain, and nothing else of Millrace.
package history
