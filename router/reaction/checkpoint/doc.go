// Package checkpoint is the router's own aggregate "reaction": how far a
// reaction is in one partition of topic events, and which streams are parked.
// Each reaction has a stream for each partition, reaction/<name>/<partition>,
// so that notes of one partition don't refuse notes of another.
//
// A cause is a record that a reaction answers with commands. A stream of causes
// is open from the record on that parks one of its causes, until a record says
// that its causes up to the noted place are answered:
//
//	event                  the stream of causes
//	causeParked            is open, and waits for an operator
//	causeRetried           goes on, from the parked cause on
//	causeSkipped           goes on, behind the parked cause
//	reactionProgressed     is closed, if all its causes below the place are answered
//
// All commands but the operator's carry the version that their writer has read:
// a note of a writer with an older view must not count. The model is package
// testing/protocol/reactions.
package checkpoint
