package aggregate

import (
	"testing"
	"time"
)

// jar is the state of the aggregate that most tests are about.
type jar struct {
	Coins  []int     `json:"coins"`
	Sealed time.Time `json:"sealed"`
}

var (
	errSealed  = &Refusal{Slug: "jar-sealed", Detail: "the jar is sealed"}
	errMissing = &Refusal{Slug: "jar-missing", Detail: "there is no such jar", Kind: NotFound}
)

// ask is a command whose decision and type a test chooses.
type ask struct {
	As     string                     `json:"as,omitempty"`
	ID     string                     `json:"id"`
	Answer func() (Event[jar], error) `json:"answer,omitempty"`
}

func (a ask) Type() string                   { return a.As }
func (a ask) AggregateID() string            { return a.ID }
func (a ask) Decide(jar) (Event[jar], error) { return a.Answer() }

// put is an event whose type a test chooses.
type put struct {
	As    string `json:"as,omitempty"`
	ID    string `json:"id"`
	Coins []int  `json:"coins"`
}

func (p put) Type() string        { return p.As }
func (p put) AggregateID() string { return p.ID }
func (p put) Apply(j jar) jar {
	return jar{append(j.Coins[:len(j.Coins):len(j.Coins)], p.Coins...), j.Sealed}
}

// sealed is an event with a time.
type sealed struct {
	ID string    `json:"id"`
	At time.Time `json:"at"`
}

func (sealed) Type() string          { return "jarSealed" }
func (s sealed) AggregateID() string { return s.ID }
func (s sealed) Apply(j jar) jar     { return jar{j.Coins, s.At} }

func asking(as string) func() Command[jar] {
	return func() Command[jar] { return &ask{As: as} }
}

func putting(as string) func() Event[jar] {
	return func() Event[jar] { return &put{As: as} }
}

func sealing() Event[jar] { return new(sealed) }

func same(old []byte) ([]byte, error) { return old, nil }

// jars is a definition that is right.
func jars() Definition[jar] {
	return Definition[jar]{
		Name: "jar", Plural: "jars",
		Commands: []func() Command[jar]{asking("putCoins"), asking("sealJar")},
		Events:   []func() Event[jar]{putting("coinsPut"), sealing},
		Refusals: []*Refusal{errSealed, errMissing},
		Upcasts:  []Upcast{{From: "coinPut", To: "coinsPut", Body: same}},
	}
}

// pots is another, with nothing in common.
func pots() Definition[jar] {
	return Definition[jar]{
		Name: "pot", Plural: "pots", Commands: []func() Command[jar]{asking("fillPot")}, Events: []func() Event[jar]{putting("potFilled")},
		Refusals: []*Refusal{{Slug: "pot-full", Detail: "the pot is full", Kind: Gone}},
		Upcasts:  []Upcast{{From: "potPoured", To: "potFilled", Body: same}},
	}
}

func registryOf(t *testing.T, types ...*Type) *Registry {
	t.Helper()
	r, err := NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// askFor and didTo are messages of an aggregate with any state.
type (
	askFor[S any] struct {
		ID string `json:"id"`
	}
	didTo[S any] struct {
		ID string `json:"id"`
	}
)

func (askFor[S]) Type() string               { return "ask" }
func (a askFor[S]) AggregateID() string      { return a.ID }
func (askFor[S]) Decide(S) (Event[S], error) { return nil, nil }
func (didTo[S]) Type() string                { return "did" }
func (d didTo[S]) AggregateID() string       { return d.ID }
func (didTo[S]) Apply(s S) S                 { return s }
