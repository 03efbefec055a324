// Package publish writes public topics: the events of an aggregate, for other
// teams.
//
// A public topic has the events that count, in today's form, as CloudEvents with
// the key of their stream. Other programs can't read topic events: they can't
// tell which records count.
//
//   - message.go: an event as a message of a public topic.
//   - publisher.go: [Publisher] keeps public topics up with the log, one partition
//     after the other, in the command service to which the partition is assigned.
//   - place.go: the place where to go on. The newest message of a partition has the
//     place in ce_position, so the topic itself is the checkpoint.
//   - rebuild.go: [Rebuild] fills a topic from the log, without a service.
//
// An event is sent only after Kafka holds the event before. Therefore all events up
// to a message's place are in front of the message, whoever wrote them: two
// publishers of one partition, or one that crashed, repeat events and leave none
// out.
package publish
