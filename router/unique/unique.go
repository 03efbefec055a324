package unique

import (
	"encoding/hex"
	"errors"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
)

// Name is the name of the aggregate, and of the machine's own reaction. The name
// is on the wire, and never changes.
const Name = "unique"

// Aggregate is the aggregate "unique", beside the aggregates of a team.
var Aggregate = aggregate.Of(aggregate.Definition[Value]{
	Name: Name, Plural: "uniques",
	ParseID:  parseID,
	Commands: []func() aggregate.Command[Value]{func() aggregate.Command[Value] { return new(TakeClaim) }, func() aggregate.Command[Value] { return new(GiveClaim) }},
	Events:   []func() aggregate.Event[Value]{func() aggregate.Event[Value] { return new(ValueTaken) }, func() aggregate.Event[Value] { return new(ValueReleased) }},
	Refusals: []*aggregate.Refusal{ErrTaken},
})

// ErrTaken refuses to take a value that another stream holds. The client gets the
// refusal of its own aggregate.
var ErrTaken = &aggregate.Refusal{Slug: "value-taken", Detail: "another stream holds the value"}

// Value is the state of a value.
type Value struct {
	// Owner is the stream that holds the value, "" for none.
	Owner string `json:"owner,omitempty"`
}

var errID = errors.New("must be the name of a claim, a slash, and the SHA-256 of a value in lower-case hexadecimal")

func parseID(text string) (string, error) {
	name, digest, _ := strings.Cut(text, "/")
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 || digest != strings.ToLower(digest) || !aggregate.IsName(name) {
		return "", errID
	}
	return text, nil
}
