package orders

import "github.com/millrace/millrace/router/aggregate"

// Parcel is the state of a parcel.
type Parcel struct {
	Sent bool `json:"sent"`
}

// Parcels is the aggregate "parcel".
var Parcels = aggregate.Of(aggregate.Definition[Parcel]{
	Name: "parcel", Plural: "parcels",
	Commands: []func() aggregate.Command[Parcel]{func() aggregate.Command[Parcel] { return new(SendParcel) }},
	Events:   []func() aggregate.Event[Parcel]{func() aggregate.Event[Parcel] { return new(ParcelSent) }},
})

// SendParcel asks to send a parcel.
type SendParcel struct {
	ID string `json:"id"`
}

// Type is "sendParcel".
func (SendParcel) Type() string { return "sendParcel" }

// AggregateID is the parcel's id.
func (c SendParcel) AggregateID() string { return c.ID }

// Decide sends the parcel, once.
func (c SendParcel) Decide(p Parcel) (aggregate.Event[Parcel], error) {
	if p.Sent {
		return nil, nil
	}
	return ParcelSent(c), nil
}

// ParcelSent says that a parcel is on the way.
type ParcelSent struct {
	ID string `json:"id"`
}

// Type is "parcelSent".
func (ParcelSent) Type() string { return "parcelSent" }

// AggregateID is the parcel's id.
func (e ParcelSent) AggregateID() string { return e.ID }

// Apply notes that the parcel was sent.
func (ParcelSent) Apply(Parcel) Parcel { return Parcel{Sent: true} }
