// Package handlers is the write side: it takes commands and decides them.
//
// A command's journey, by file:
//
//	gateway.go, request.go, decode.go   POST /commands: read it strictly, name the stream
//	ticket.go, answer.go, prefer.go     send it on the command bus, answer 202, or wait for the outcome
//	import.go                           many in one request
//	dispatch.go                         Watermill's router brings it, in partition order
//	desk.go, decide.go                  decide it on top of what is under way, and append the outcome
//	ledger.go, stream.go                read the outcome back, through the gate that everybody uses
//	watch.go                            tell who waits
//	parking.go                          hold what can't be decided, and what comes after it
//	snapshot.go, snapshots.go, trim.go  start fast, and let go of old commands
//
// The rules themselves are in package users. Package protocol checks the
// protocol of desk and ledger by search.
package decider
