// Package messaging is the ground that the write side and the read side stand
// on: the log's vocabulary, and the log itself, in Kafka, through Watermill.
//
// The vocabulary: a [eventlog.Record] is the outcome of one command. It takes the next
// slot of its stream and names the record before it ([eventlog.Head.Accept], the gate
// of every fold). A [eventlog.Command] is what was asked. A [eventlog.Position] is a place in
// the log, for clients.
//
// The log: [Kafka] opens what talks to it. Commands go out on a [CommandBus],
// records on an [EventBus]; a [Subscription] is a consumer group whose handler
// owns its claims; a [LogReader] reads in bulk, for folds; a [embedded.Broker] is all
// the Kafka that one machine needs.
package kafka
