// Package parcels has aggregates for tests of documents: parcels have fields of
// all kinds, and crates and drums have Go types of the same names.
package parcels

import (
	"encoding/json"
	"time"

	"github.com/millrace/millrace/router/aggregate"
)

// Aggregate is the parcels, with fields of all kinds.
var Aggregate = aggregate.Of(aggregate.Definition[Parcel]{
	Name: "parcel", Plural: "parcels",
	Commands: []func() aggregate.Command[Parcel]{
		func() aggregate.Command[Parcel] { return new(Pack) },
		func() aggregate.Command[Parcel] { return new(Send) },
	},
	Events: []func() aggregate.Event[Parcel]{
		func() aggregate.Event[Parcel] { return new(Packed) },
		func() aggregate.Event[Parcel] { return new(Sent) },
	},
	Refusals: []*aggregate.Refusal{{Slug: "parcel-lost", Detail: "the parcel is lost", Kind: aggregate.Gone}},
})

// Parcel is the state.
type Parcel struct {
	Packed bool `json:"packed"`
}

// Colour describes itself.
type Colour string

// Schema is a list of colours.
func (Colour) Schema() map[string]any {
	return map[string]any{"type": "string", "enum": []string{"red", "blue"}, "examples": []string{"red"}}
}

// UnmarshalJSON takes the colours of the list.
func (c *Colour) UnmarshalJSON(data []byte) error {
	if text := string(data); text != `"red"` && text != `"blue"` {
		return errColour
	}
	return json.Unmarshal(data, (*string)(c))
}

type errText string

func (e errText) Error() string { return string(e) }

const errColour = errText("must be red or blue")

// Box has boxes in it.
type Box struct {
	Label string `json:"label"`
	Boxes []Box  `json:"boxes,omitempty"`
}

// Pack asks for a parcel.
type Pack struct {
	ID      string         `json:"id"`
	Small   int8           `json:"small"`
	Count   uint16         `json:"count,omitempty"`
	Weight  float64        `json:"weight"`
	Tags    []string       `json:"tags"`
	Prices  map[string]int `json:"prices"`
	Box     Box            `json:"box"`
	Until   *time.Time     `json:"until"`
	Colour  Colour         `json:"colour"`
	Fragile bool           `json:"fragile"`
	Picture []byte         `json:"picture,omitempty"`
	Corner  [2]int         `json:"corner"`
	Inner   struct {
		Free bool `json:"free"`
	} `json:"inner"`
	Any json.RawMessage `json:"any"`
}

// Type is "pack".
func (*Pack) Type() string { return "pack" }

// AggregateID is the id.
func (p *Pack) AggregateID() string { return p.ID }

// Decide packs.
func (p *Pack) Decide(Parcel) (aggregate.Event[Parcel], error) {
	packed := Packed(*p)
	return &packed, nil
}

// Packed says that there is a parcel.
type Packed Pack

// Type is "packed".
func (*Packed) Type() string { return "packed" }

// AggregateID is the id.
func (p *Packed) AggregateID() string { return p.ID }

// Apply packs.
func (*Packed) Apply(Parcel) Parcel { return Parcel{Packed: true} }

// Send asks to send a parcel.
type Send struct {
	ID string `json:"id"`
}

// Type is "send".
func (*Send) Type() string { return "send" }

// AggregateID is the id.
func (s *Send) AggregateID() string { return s.ID }

// Decide sends.
func (s *Send) Decide(Parcel) (aggregate.Event[Parcel], error) { return &Sent{s.ID, nil}, nil }

// Sent says that the parcel is on its way.
type Sent struct {
	ID    string `json:"id"`
	Boxes []*Box `json:"boxes"`
}

// Type is "sent".
func (*Sent) Type() string { return "sent" }

// AggregateID is the id.
func (s *Sent) AggregateID() string { return s.ID }

// Apply changes nothing.
func (*Sent) Apply(p Parcel) Parcel { return p }
