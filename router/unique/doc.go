// Package unique makes values unique across streams: the machine's aggregate
// "unique", and the machine's own reaction of the same name.
//
// A command whose event would add a value to the claims of its stream waits in
// the log as commandClaiming. From there all goes by commands of the reaction:
//
//	takeClaim    to the claim's stream, which takes the value for the asking stream or not
//	answerClaim  back to the asking stream, whose command is decided again
//	giveClaim    to the claim's stream, for a value that the asking stream no longer needs
//
// A claim's stream is "unique/<claim>/<SHA-256 of the value>". So a decision looks
// at one stream, and a crash between two steps is a crash of a reaction, whose
// commands take effect once.
//
//	unique.go      the aggregate
//	take_claim.go  takeClaim and valueTaken
//	give_claim.go  giveClaim and valueReleased
//	reaction.go    the commands that follow from a record
package unique
