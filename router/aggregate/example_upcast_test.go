package aggregate_test

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
)

// Door is the state of a door.
type Door struct {
	Open bool `json:"open"`
}

// MoveDoor asks to open or to shut a door.
type MoveDoor struct {
	ID   string `json:"id"`
	Open bool   `json:"open"`
}

// Type is "moveDoor".
func (MoveDoor) Type() string { return "moveDoor" }

// AggregateID is the door's id.
func (c MoveDoor) AggregateID() string { return c.ID }

// Decide moves a door that is not there yet.
func (c MoveDoor) Decide(d Door) (aggregate.Event[Door], error) {
	if c.Open == d.Open {
		return nil, nil
	}
	return DoorMoved(c), nil
}

// DoorMoved says that a door was opened or shut.
type DoorMoved struct {
	ID   string `json:"id"`
	Open bool   `json:"open"`
}

// Type is "doorMoved".
func (DoorMoved) Type() string { return "doorMoved" }

// AggregateID is the door's id.
func (e DoorMoved) AggregateID() string { return e.ID }

// Apply moves the door.
func (e DoorMoved) Apply(Door) Door { return Door{Open: e.Open} }

// The first release wrote an event "doorSet" with a word instead of a boolean.
// Its bodies stay in the log, and are read as today's event.
func ExampleUpcast() {
	doors := aggregate.Of(aggregate.Definition[Door]{
		Name:     "door",
		Plural:   "doors",
		Commands: []func() aggregate.Command[Door]{func() aggregate.Command[Door] { return new(MoveDoor) }},
		Events:   []func() aggregate.Event[Door]{func() aggregate.Event[Door] { return new(DoorMoved) }},
		Upcasts: []aggregate.Upcast{{From: "doorSet", To: "doorMoved", Body: func(old []byte) ([]byte, error) {
			var set struct {
				ID string `json:"id"`
				To string `json:"to"`
			}
			if err := json.Unmarshal(old, &set); err != nil {
				return nil, err
			}
			return json.Marshal(DoorMoved{ID: set.ID, Open: set.To == "open"})
		}}},
	})
	event, err := doors.DecodeEvent("doorSet", []byte(`{"id":"front","to":"open"}`))
	fmt.Printf("%s %+v %v\n", event.Type(), event, err)
	// Output: doorMoved &{ID:front Open:true} <nil>
}
