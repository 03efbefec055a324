// Package decider decides commands, in the order of their partition. DESIGN.md
// beside this file has the rules and their reasons.
//
// A command goes this way:
//
//	dispatch.go     Watermill's router brings the command to the partition's mailbox,
//	                which hands the command to the partition processor
//	assigned.go     the processor takes the command into its assignment, and marks the offset at the end
//	speculation.go  the command executes on top of the stream's speculative state
//	decide.go       the aggregate decides, and the outcome becomes a record
//	append.go       the record is appended to the log, again if the append fails
//	processor.go    the processor reads the record back, and folds the record
//	stream.go       the fold of one stream
//	outcome.go      the outcome of the command
//	watch.go        the waiters get the outcome
//
// The rest:
//
//	state_store.go  the state store: the processors of all partitions, and the log
//	cache.go        streams in memory, and loading from disk
//	write_back.go   batches of changed streams for the disk
//	stream_value.go a stream, and outcomes, as bytes
//	store_meta.go   does a store on disk fit the log?
//	ignored.go      which records count, for readers behind the fold
//	scheduled.go    commands that wait for their time
//	due.go          the clock, and the scheduled commands on disk
//	remembered.go   the outcomes that a stream remembers
//	fence           the repetitions among the commands of reactions
//	claims.go       values that no two streams may hold
//	parking.go      parked and deferred commands, and the operator's commands
//	unknown.go      commands and events that only another binary knows
//	deferred.go     the queue of deferred commands
//	trim.go         removal of old commands
//	stats.go        sizes for metrics
//	keys            the keys on disk
//	observe         what metrics and traces need to know
//	commandguard    the guard in front of topic commands: no offset is used twice
//
// The rules of the domain are in the aggregates. Package testing/protocol checks
// the protocol of processors and state stores by search.
package decider
