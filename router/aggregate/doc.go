// Package aggregate is the contract of the write side: what a team writes so
// that Millrace decides its commands. The package imports the standard library
// only.
//
// An aggregate is a state S, the commands that ask for changes of the state,
// and the events that change it. A [Definition] lists all three, [Of] makes a
// [Type] of a definition, and a service hands its types to [NewRegistry]:
//
//	definition.go    what a team writes: Command, Event, Definition
//	refusal.go       a command's "no"
//	claim.go         values that no two streams may hold at the same time
//	upcast.go        old events in today's form
//	type.go          an aggregate as the router has it: without the type of its state
//	event_body.go    the body of an event, written and read
//	state_body.go    the state, written and read
//	check.go         the faults of a definition
//	fields.go        the members of a command or an event
//	lost.go          the parts of a Go type that JSON does not keep
//	state_form.go    how a state is written: another form makes stored states useless
//	registry.go      all aggregates of a service
//
// Decide and Apply are pure: no clock, no random numbers, no I/O. The router
// takes a decision again whenever a process was killed before the outcome was
// known, and the decision must be the same. A command makes at most one event:
// one record of the log is written whole or not at all, so a command takes
// effect whole or not at all.
//
// Package aggregatetest checks an aggregate by given, when, then.
package aggregate
