package unique

import "github.com/millrace/millrace/router/aggregate"

// GiveClaim gives a value of a stream back.
type GiveClaim struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
}

const typeGiveClaim = "giveClaim"

// Type is "giveClaim".
func (GiveClaim) Type() string { return typeGiveClaim }

// AggregateID is the claim and the digest of the value.
func (c GiveClaim) AggregateID() string { return c.ID }

// Decide gives a value back that the stream holds.
func (c GiveClaim) Decide(v Value) (aggregate.Event[Value], error) {
	if v.Owner != c.Stream {
		return nil, nil
	}
	return ValueReleased(c), nil
}

// ValueReleased says that no stream holds the value any more.
type ValueReleased struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
}

// Type is "valueReleased".
func (ValueReleased) Type() string { return "valueReleased" }

// AggregateID is the claim and the digest of the value.
func (e ValueReleased) AggregateID() string { return e.ID }

// Apply forgets the owner.
func (e ValueReleased) Apply(Value) Value { return Value{} }
