// Package eventlog is the vocabulary of the log, without a Kafka client. The
// DESIGN.md beside this file explains the forms, with worked examples.
//
//   - headers.go: the names of headers, topics and outcomes.
//   - limits.go: the limits by which every outcome fits topic events.
//   - envelope.go: an [Envelope], a command on its way to a decision.
//   - origin.go: an [Origin], the reaction and the [Cause] behind a command.
//   - record.go: a [Record], the outcome of one command and an entry of the log.
//   - public.go: the form of an event in a public topic.
//   - raw.go: a [RawMessage], a Kafka record before decoding, from any client.
//   - limits.go: the limits by which every outcome fits the log.
//   - digest.go: a [Digest], the hash by which a record names the record before.
//   - chain.go: a [Head], the end of a stream, and [Head.Accept], the gate of
//     every fold.
//   - partition.go: [PartitionOf], from a stream to a partition.
//   - position.go: a [Position], a place in the log, and the tokens of clients.
//   - progress.go: a [Progress], for waiting until an offset is processed.
package eventlog
