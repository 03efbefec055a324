package history

import (
	"net/http"
	"time"
)

// The kinds of operations that are not commands. A command's kind is its type.
const (
	// Read is GET /users/{id} with Read-After of all that any client was told
	// of this user's partition before.
	Read = "read"
	// ReadOld is the same without Read-After: it may be older, and shows what
	// waiting would hide.
	ReadOld = "read of any age"
	// ReadSent is a Read after a command's 202, with that one's position.
	ReadSent = "read after 202"
	// Status is GET /users/{id}/commands/{command id}.
	Status = "status"
	// Requeue is app parked requeue of a user whose first parked command is
	// CommandID, and Drop app parked drop of it. Their answer is what became of
	// that command, with the status that HTTP has for it.
	Requeue = "requeueParked"
	Drop    = "dropParked"
	// Broken is how long an instance's domain could not decide what is poisoned.
	Broken = "broken"
)

// Operation is one request of a client, with its answer.
type Operation struct {
	Client   int    `json:"client"`
	Instance string `json:"instance"`
	Kind     string `json:"kind"`
	User     string `json:"user"`

	// Of commands, and of Status.
	CommandID string  `json:"commandId,omitempty"`
	Name      string  `json:"name,omitempty"`
	Expected  *uint64 `json:"expectedVersion,omitempty"`
	Waits     bool    `json:"waits,omitempty"`
	// After is the Read-After that was sent.
	After string `json:"after,omitempty"`

	// Call and Return are of one clock, from the start of the run.
	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
	// Shared is when every later Read asks after what this operation told; 0
	// for never.
	Shared time.Duration `json:"shared,omitempty"`

	// HTTP is the status of the answer, 0 if none came.
	HTTP  int    `json:"http"`
	Error string `json:"error,omitempty"`
	// Slug is of the problem; of a Status, the outcome's state or its problem.
	Slug string `json:"slug,omitempty"`
	// Version is the user's: of an outcome, or as it was read.
	Version uint64 `json:"version,omitempty"`
	// ReadName and Active are as they were read.
	ReadName string `json:"readName,omitempty"`
	Active   bool   `json:"active,omitempty"`
	// Position is the token of the answer.
	Position string `json:"position,omitempty"`
}

// IsOperator says whether it is an operator's.
func (o *Operation) IsOperator() bool {
	return o.Kind == Requeue || o.Kind == Drop || o.Kind == Broken
}

// IsCommand says whether it is a client's command.
func (o *Operation) IsCommand() bool {
	return !o.IsOperator() && o.Kind != Read && o.Kind != ReadOld && o.Kind != ReadSent && o.Kind != Status
}

// Result says what a client knows by an answer.
type Result string

// The results. Of a command, Unknown may have happened, may happen later, or
// never.
const (
	Succeeded  Result = "succeeded"
	Accepted   Result = "accepted"
	Refused    Result = "refused"
	Parked     Result = "parked" // it may happen later, or never
	Unknown    Result = "unknown"
	Unexpected Result = "unexpected" // clients of a run never ask for it
)

// Result is the operation's.
func (o *Operation) Result() Result {
	switch {
	case o.HTTP == 0, o.HTTP == http.StatusServiceUnavailable:
		return Unknown
	case o.HTTP == http.StatusOK:
		return Succeeded
	case o.HTTP == http.StatusAccepted && o.IsCommand():
		return Accepted
	case (o.IsCommand() || o.IsOperator()) && o.HTTP == http.StatusInternalServerError && o.Slug == "command-parked":
		return Parked
	case o.IsOperator() && o.HTTP == http.StatusConflict:
		return Refused
	case !o.IsOperator() && !o.IsCommand() && (o.HTTP == http.StatusNotFound || o.HTTP == http.StatusGone):
		return Succeeded // there is no such user: that is what was read
	case o.IsCommand() && (o.HTTP == http.StatusNotFound || o.HTTP == http.StatusConflict || o.HTTP == http.StatusPreconditionFailed):
		return Refused
	default:
		return Unexpected
	}
}
