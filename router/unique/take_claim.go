package unique

import "github.com/millrace/millrace/router/aggregate"

// TakeClaim asks for a value, for a command of a stream.
type TakeClaim struct {
	ID        string `json:"id"`
	Stream    string `json:"stream"`
	CommandID string `json:"commandId"`
}

const typeTakeClaim = "takeClaim"

// Type is "takeClaim".
func (TakeClaim) Type() string { return typeTakeClaim }

// AggregateID is the claim and the digest of the value.
func (c TakeClaim) AggregateID() string { return c.ID }

// Decide takes a value that no other stream holds.
func (c TakeClaim) Decide(v Value) (aggregate.Event[Value], error) {
	switch v.Owner {
	case "":
		return ValueTaken(c), nil
	case c.Stream:
		return nil, nil
	default:
		return nil, ErrTaken
	}
}

// ValueTaken says that a stream holds the value now.
type ValueTaken struct {
	ID        string `json:"id"`
	Stream    string `json:"stream"`
	CommandID string `json:"commandId"`
}

const typeValueTaken = "valueTaken"

// Type is "valueTaken".
func (ValueTaken) Type() string { return typeValueTaken }

// AggregateID is the claim and the digest of the value.
func (e ValueTaken) AggregateID() string { return e.ID }

// Apply notes the owner.
func (e ValueTaken) Apply(Value) Value { return Value{Owner: e.Stream} }
