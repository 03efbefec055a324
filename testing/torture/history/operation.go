package history

import (
	"net/http"
	"slices"
	"time"
)

// The kinds of operations besides commands. The kind of a command is its type.
const (
	// Read is GET /users/{id} with Read-After. The position covers all earlier
	// answers to all clients about this user.
	Read = "read"
	// ReadOld is GET /users/{id} without Read-After: the answer may be old.
	ReadOld = "read of any age"
	// ReadSent is a Read after a command's 202, with the position of the 202.
	ReadSent = "read after 202"
	// Status is GET /users/{id}/commands/{command id}.
	Status = "status"
	// Requeue is app parked requeue of a user, whose parked command is CommandID.
	// Drop is app parked drop. The answer is the outcome of the parked command, with
	// the status of the same outcome over HTTP.
	Requeue = "requeueParked"
	Drop    = "dropParked"
	// Broken is a time in which an instance's domain could not decide poisoned
	// commands.
	Broken = "broken"
)

// Operation is a request of a client, with the answer.
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
	// After is the Read-After of the request.
	After string `json:"after,omitempty"`

	// Call and Return are times since the start of the run.
	Call   time.Duration `json:"call"`
	Return time.Duration `json:"return"`
	// Shared: every Read that begins later asks after the outcome of this
	// operation. 0 is never.
	Shared time.Duration `json:"shared,omitempty"`

	// HTTP is the status of the answer, 0 without an answer.
	HTTP  int    `json:"http"`
	Error string `json:"error,omitempty"`
	// Slug is the slug of the problem; of a Status, the status of the command or
	// the slug of its problem.
	Slug string `json:"slug,omitempty"`
	// Version is the version of the user, after an outcome or in a read.
	Version uint64 `json:"version,omitempty"`
	// ReadName and Active are the name and the activity of the user in a read.
	ReadName string `json:"readName,omitempty"`
	Active   bool   `json:"active,omitempty"`
	// Position is the token of the answer.
	Position string `json:"position,omitempty"`
}

// IsOperator says whether the operation is an operator's.
func (o *Operation) IsOperator() bool {
	return o.Kind == Requeue || o.Kind == Drop || o.Kind == Broken
}

// IsCommand says whether the operation is a client's command.
func (o *Operation) IsCommand() bool {
	return !o.IsOperator() && o.Kind != Read && o.Kind != ReadOld && o.Kind != ReadSent && o.Kind != Status
}

// Result is the result of an operation, as the client knows.
type Result string

// The results. An Unknown command may have happened, or may happen later, or
// never.
const (
	Succeeded  Result = "succeeded"
	Accepted   Result = "accepted"
	Refused    Result = "refused"
	Parked     Result = "parked" // may happen later, or never
	Unknown    Result = "unknown"
	Unexpected Result = "unexpected" // no answer to the requests of a run
)

// refusals are the statuses of refused commands.
var refusals = []int{http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed}

// Result is the result by the status of the answer.
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
		return Succeeded // the answer says that there is no such user
	case o.IsCommand() && slices.Contains(refusals, o.HTTP):
		return Refused
	default:
		return Unexpected
	}
}
