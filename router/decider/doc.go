// Package decider decides commands, in the order of their partition.
//
//	dispatch.go, mailbox.go        Watermill's router brings a command to its partition
//	processor.go, decide.go        decide it on top of what is under way, and append the outcome
//	state_store.go, stream.go      read the outcome back, if it is accepted
//	watch.go                       tell who waits
//	parking.go, deferred.go        defer what can't be decided, and what comes after it
//	snapshot.go, snapshots.go, trim.go  start fast, and remove old commands
//
// The rules themselves are the aggregates'. Package testing/protocol checks the
// protocol of processor and state store by search.
package decider
