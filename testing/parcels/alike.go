package parcels

import "github.com/millrace/millrace/router/aggregate"

// Crates and Drums are aggregates whose messages have Go types of the same
// names. A command and its event have the same name on the wire.
var (
	Crates = alike[crate]()
	Drums  = alike[drum]()
)

func alike[K kind]() *aggregate.Type {
	return aggregate.Of(aggregate.Definition[int]{
		Name: kindOf[K](), Plural: kindOf[K]() + "s",
		Commands: []func() aggregate.Command[int]{func() aggregate.Command[int] { return new(Change[K]) }},
		Events:   []func() aggregate.Event[int]{func() aggregate.Event[int] { return new(Changed[K]) }},
	})
}

// kind tells the two aggregates apart.
type kind interface{ kind() string }

type (
	crate struct{}
	drum  struct{}
)

func (crate) kind() string { return "crate" }
func (drum) kind() string  { return "drum" }

func kindOf[K kind]() string {
	var k K
	return k.kind()
}

// Size is a type of both aggregates.
type Size int

// Schema is the schema of small integers.
func (Size) Schema() map[string]any {
	return map[string]any{"type": "integer", "minimum": 1, "maximum": 9}
}

// Change has the name of a schema of the machine.
type Change[K kind] struct {
	Number Size `json:"number"`
}

// Type has the kind at its end, as the type of Changed.
func (Change[K]) Type() string { return "change-" + kindOf[K]() }

// AggregateID is a digit.
func (c Change[K]) AggregateID() string { return string(rune('0' + c.Number)) }

// Decide changes the number.
func (c Change[K]) Decide(int) (aggregate.Event[int], error) { return Changed[K](c), nil }

// Changed is the event of Change.
type Changed[K kind] struct {
	Number Size `json:"number"`
}

// Type is the type of Change.
func (Changed[K]) Type() string { return "change-" + kindOf[K]() }

// AggregateID is a digit.
func (c Changed[K]) AggregateID() string { return string(rune('0' + c.Number)) }

// Apply changes nothing.
func (Changed[K]) Apply(n int) int { return n }
