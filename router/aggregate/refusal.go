package aggregate

import "fmt"

// Refusal is a command's "no": the rule that was broken. A refusal is an
// outcome like an event, and is written to the log.
type Refusal struct {
	// Slug names the rule on the wire, as "list-not-found": lower-case letters,
	// digits and hyphens. The slug never changes after a release.
	Slug string
	// Detail says the rule in words.
	Detail string
	// Kind says which HTTP status the client gets.
	Kind Kind
}

// Error is the refusal in words.
func (r *Refusal) Error() string { return r.Detail }

// Kind is a kind of refusal.
type Kind uint8

// The kinds of refusals, and their HTTP status (RFC 9110, section 15.5).
const (
	Conflict           Kind = iota // 409: the state does not allow the command
	NotFound                       // 404: there is no such aggregate
	Gone                           // 410: there was such an aggregate
	PreconditionFailed             // 412: the client expected another version
	Invalid                        // 400: no state allows the command
)

// String is the kind's name.
func (k Kind) String() string {
	switch k {
	case Conflict:
		return "Conflict"
	case NotFound:
		return "NotFound"
	case Gone:
		return "Gone"
	case PreconditionFailed:
		return "PreconditionFailed"
	case Invalid:
		return "Invalid"
	default:
		return fmt.Sprintf("Kind(%d)", k)
	}
}
