// Package kafka keeps the log in Kafka, through Watermill. The DESIGN.md beside
// this file explains settings, subscription, log tail and wire forms.
//
// Settings of the cluster:
//
//   - kafka.go: [Kafka], the cluster's address and all settings of the client.
//   - password.go: [Kafka.ChangePassword].
//   - topics.go: [Kafka.EnsureTopics], which creates and checks the topics.
//   - topic_watch.go: [Kafka.WatchCommands], which notices a topic made anew.
//   - old_log.go: the check that refuses a log of before v0.1.0, or of another
//     number of partitions.
//   - committed.go: offsets of consumer groups, and the check that the log wasn't
//     longer.
//   - watermill_log.go: [WatermillLog], the logger of clients.
//
// Writing:
//
//   - bus.go: [CommandBus], for envelopes to topic commands, and [EventBus], for
//     records to topic events.
//   - publisher.go: the asynchronous publisher of both buses.
//   - marshaler.go, message.go: from envelopes and records to messages, and back.
//   - partitioner.go: from a message's key to a partition.
//   - public.go: [PublicTopics], the topics for other teams.
//
// Reading:
//
//   - subscriber.go: [Subscription], a consumer group as a Watermill subscriber.
//   - command_subscriber.go: the hook of watermill-kafka's subscriber, which
//     carries the commands.
//   - assignments.go: [Assignment] and [AssignmentHandler], the ownership of partitions.
//   - log_tail.go: [LogTail], one read of the log's end for all folds of a
//     process.
//   - reader.go: [LogReader] and [CommandReader], outside of consumer groups.
//   - damage.go: [ErrDamaged], the checks of what a broker sends.
//   - ends.go: the ends of partitions, behind the last message, with patience
//     for a new leader.
//   - undecided.go: [CommandFinder], the search for commands without a decision.
//
// Upkeep:
//
//   - trim.go: [Kafka.TrimCommands], which deletes decided commands, and
//     [Kafka.FillCommands], whose fillers take offsets that were used.
//   - copy_log.go: [Kafka.CopyLog], for another number of partitions.
//   - deadletters.go: [DeadLetter], to publish, to read and to drop.
//
// In the folders below, package connection opens the connections of clients, and
// package embedded is the broker inside the binary.
package kafka
