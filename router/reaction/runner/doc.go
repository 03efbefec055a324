// Package runner runs reactions: it reads the records that count, asks the
// reactions, and sends their commands. The model is package
// testing/protocol/reactions, and the rules have their reasons there.
//
//	runner.go     the partitions that the consumer group gives to this process
//	begin.go      the places of new reactions
//	run.go        one reaction in one partition
//	flow.go       records in, commands out: the main flow, and open streams that go on
//	window.go     the commands on their way: one for each target stream
//	notes.go      the notes in the reaction's own stream
//	answer.go     a team's reaction, from a record of the log to envelopes
//	unique.go     the router's own reaction, for values that must be unique
//	stats.go      numbers for metrics
//	depth.go      reactions behind each other
//	moved.go      a log that is copied
//
// The consumer group only assigns partitions. A reaction begins where its own
// stream says, because the group's offset says nothing of the open streams that
// the offset's writer knew. Two processes at once do no harm, and neither does a
// process that comes back late: the fence of each target stream knows
// repetitions.
package runner
