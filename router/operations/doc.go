// Package operations has the work of operators, for the command line and for the
// console alike: both call the same functions.
//
//	parked.go        streams whose commands wait: list, requeue, drop
//	reactions.go     streams parked in reactions: list, retry, skip
//	dead_letters.go  messages that nobody can decode: list, find, drop
//	models.go        the generations of read models: list, rebuild, swap, drop
//	redo.go          streams parked in a read model; verify and repair
//	stream.go        a stream's records in the log, each with the gate's word
//	scheduled.go     a stream's commands that wait for their time
//	way.go           a new command's way through the system, with times
//
// The package speaks no HTTP and prints nothing.
package operations
