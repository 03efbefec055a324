package eventlog

import "encoding/json"

// The headers of commands and records: CloudEvents 1.0, Kafka binding, binary
// mode (https://github.com/cloudevents/spec, kafka-protocol-binding.md), and
// the extensions for the chain. The names are on the wire, and never change.
const (
	HeaderSpecVersion     = "ce_specversion"
	HeaderID              = "ce_id"
	HeaderType            = "ce_type"
	HeaderSource          = "ce_source"
	HeaderSubject         = "ce_subject"
	HeaderTime            = "ce_time"
	HeaderSeq             = "ce_seq"
	HeaderPrev            = "ce_prev"
	HeaderVersion         = "ce_version"
	HeaderCommandID       = "ce_commandid"
	HeaderCommandHash     = "ce_commandhash"
	HeaderCommandPosition = "ce_commandposition"
	HeaderExpectedVersion = "ce_expectedversion"
	// Of a command that waits for a time.
	HeaderNotBefore = "ce_notbefore"
	// Of the commands of reactions, and of the records of these commands.
	HeaderReaction     = "ce_reaction"
	HeaderCause        = "ce_cause"
	HeaderCauseSubject = "ce_causesubject"
	HeaderDepth        = "ce_depth"
	HeaderOpen         = "ce_open"
	// Of records that ask for claims, or give claims back.
	HeaderAsks     = "ce_asks"
	HeaderReleases = "ce_releases"

	// HeaderPosition is the place of an event in topic events, in public topics
	// only.
	HeaderPosition    = "ce_position"
	HeaderContentType = "content-type"
	// HeaderTraceParent is the header of W3C Trace Context, outside of the digest.
	HeaderTraceParent = "traceparent"
)

const (
	specVersion = "1.0"
	contentType = "application/json"
	// Source is ce_source of all commands and records.
	Source = "urn:millrace:command-service"

	// HeaderPrefix is the prefix of all headers inside the digest.
	HeaderPrefix = "ce_"
)

// The names of the topics, without the configured prefix.
const (
	TopicCommands    = "commands"
	TopicEvents      = "events"
	TopicDeadLetters = "dead-letters"
)

// The outcomes other than events. Such an outcome takes a sequence number in the
// stream and keeps the stream's version.
const (
	TypeCommandRefused     = "commandRefused"
	TypeCommandUnchanged   = "commandUnchanged"
	TypeCommandParked      = "commandParked"
	TypeCommandQueued      = "commandQueued"
	TypeCommandScheduled   = "commandScheduled"
	TypeCommandClaiming    = "commandClaiming"
	TypeParkedRequeued     = "parkedRequeued"
	TypeParkedDropped      = "parkedDropped"
	TypeScheduledCancelled = "scheduledCancelled"
	TypeClaimAnswered      = "claimAnswered"
)

// The reasons in a commandQueued of a command that waits for another binary.
const (
	ReasonUnknownType   = "unknown-type"   // the decider doesn't know the command's type
	ReasonUnknownEvent  = "unknown-event"  // the decider doesn't know an event of the stream
	ReasonBehindUnknown = "behind-unknown" // an earlier command of the stream waits for another binary
)

// The reasons of a command that waits for a claim.
const (
	ReasonClaim       = "claim"        // in a commandClaiming
	ReasonBehindClaim = "behind-claim" // in a commandQueued: an earlier command of the stream waits for a claim
)

// AwaitsClaim reports whether a command with this reason waits for a claim, its
// own or that of a command before.
func AwaitsClaim(reason string) bool { return reason == ReasonClaim || reason == ReasonBehindClaim }

// SaysAwaitsClaim reports whether a record with this type and body says that its
// command waits for a claim. Such a command goes on by itself.
func SaysAwaitsClaim(recordType string, body []byte) bool {
	if recordType != TypeCommandQueued {
		return recordType == TypeCommandClaiming
	}
	var of struct{ Reason string }
	return json.Unmarshal(body, &of) == nil && AwaitsClaim(of.Reason)
}

// AwaitsBinary reports whether a commandQueued with this reason is of a command
// that waits for another binary, and not for an operator.
func AwaitsBinary(reason string) bool {
	return reason == ReasonUnknownType || reason == ReasonUnknownEvent || reason == ReasonBehindUnknown
}

// FillerType is the type of a filler, a message without key and body in topic
// commands. Fillers take offsets that earlier commands had; nobody decides
// fillers.
const FillerType = "filler"

// IsEvent reports whether a record of this type increases the stream's version.
// A type from a newer binary counts as an event.
func IsEvent(recordType string) bool {
	switch recordType {
	case TypeCommandRefused, TypeCommandUnchanged, TypeCommandParked, TypeCommandQueued,
		TypeCommandScheduled, TypeCommandClaiming,
		TypeParkedRequeued, TypeParkedDropped, TypeScheduledCancelled, TypeClaimAnswered:
		return false
	default:
		return true
	}
}
