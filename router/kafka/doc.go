// Package kafka keeps the log in Kafka, through Watermill.
//
// [Kafka] opens what talks to it. Commands go out on a [CommandBus], records on
// an [EventBus]; a [Subscription] is a consumer group whose handler owns its
// claims; a [LogReader] reads in bulk, for folds; a [LogTail] reads the end of
// the log once for all folds of a process.
package kafka
