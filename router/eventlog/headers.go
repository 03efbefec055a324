package eventlog

// The headers of commands and records: CloudEvents 1.0, Kafka binding, binary
// mode (https://github.com/cloudevents/spec, kafka-protocol-binding.md), and
// the extensions that carry the chain. Literals on the wire: they never change.
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
	HeaderContentType     = "content-type"
	// HeaderTraceParent is of W3C Trace Context. It is outside of the digest.
	HeaderTraceParent = "traceparent"
)

const (
	specVersion = "1.0"
	contentType = "application/json"
	Source      = "urn:millrace:command-service"

	// HeaderPrefix marks what the digest is over.
	HeaderPrefix = "ce_"
)

// The topics' names, before the configured prefix.
const (
	TopicCommands    = "commands"
	TopicEvents      = "events"
	TopicDeadLetters = "dead-letters"
)

// Outcomes that are not events: they take a slot in the stream and leave its
// version as it is.
const (
	TypeCommandRefused   = "commandRefused"
	TypeCommandUnchanged = "commandUnchanged"
	TypeCommandParked    = "commandParked"
	TypeCommandQueued    = "commandQueued"
	TypeParkedRequeued   = "parkedRequeued"
	TypeParkedDropped    = "parkedDropped"
)

// IsEvent says whether a record of this type counts in its stream's version.
// What no binary knows yet is an event.
func IsEvent(recordType string) bool {
	switch recordType {
	case TypeCommandRefused, TypeCommandUnchanged, TypeCommandParked, TypeCommandQueued,
		TypeParkedRequeued, TypeParkedDropped:
		return false
	default:
		return true
	}
}
