package aggregatetest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/aggregate/aggregatetest"
)

// Lamp is the state of a lamp.
type Lamp struct {
	Lit bool `json:"lit"`
}

// ErrLit refuses to light a lamp that is lit.
var ErrLit = &aggregate.Refusal{Slug: "lamp-lit", Detail: "the lamp is lit already"}

// LightLamp asks to light a lamp.
type LightLamp struct {
	ID string `json:"id"`
}

// Type is "lightLamp".
func (LightLamp) Type() string { return "lightLamp" }

// AggregateID is the lamp's id.
func (c LightLamp) AggregateID() string { return c.ID }

// Decide lights a dark lamp.
func (c LightLamp) Decide(l Lamp) (aggregate.Event[Lamp], error) {
	if l.Lit {
		return nil, ErrLit
	}
	return LampLit(c), nil
}

// LampLit says that a lamp gives light.
type LampLit struct {
	ID string `json:"id"`
}

// Type is "lampLit".
func (LampLit) Type() string { return "lampLit" }

// AggregateID is the lamp's id.
func (e LampLit) AggregateID() string { return e.ID }

// Apply lights the lamp.
func (LampLit) Apply(Lamp) Lamp { return Lamp{Lit: true} }

// Lamps is the aggregate "lamp".
var Lamps = aggregate.Of(aggregate.Definition[Lamp]{
	Name:     "lamp",
	Plural:   "lamps",
	Commands: []func() aggregate.Command[Lamp]{func() aggregate.Command[Lamp] { return new(LightLamp) }},
	Events:   []func() aggregate.Event[Lamp]{func() aggregate.Event[Lamp] { return new(LampLit) }},
	Refusals: []*aggregate.Refusal{ErrLit},
})

// printer stands for the t of a test, and prints failures.
type printer struct{ testing.TB }

func (printer) Helper() {}

func (printer) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stdout, format, args...)
}

func ExampleGiven() {
	t := printer{} // in a test: t *testing.T
	aggregatetest.Given(t, Lamps).When(LightLamp{ID: "hall"}).Then(LampLit{ID: "hall"}).ThenState(Lamp{Lit: true})
	lit := aggregatetest.Given(t, Lamps, LampLit{ID: "hall"})
	lit.When(LightLamp{ID: "hall"}).ThenRefused(ErrLit)
	lit.When(LightLamp{ID: "hall"}).ThenUnchanged() // a test that fails
	// Output:
	// the command makes refusal "lamp-lit" (Conflict): the lamp is lit already
	// want nothing to change
	// given
	// 	lampLit {"id":"hall"}
	// with the state
	// 	{Lit:true}
	// when
	// 	lightLamp {"id":"hall"}
}
