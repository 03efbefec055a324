// Package orders has two small aggregates for tests of read models: orders,
// with an event of an earlier release, and parcels.
package orders

import (
	"encoding/json"

	"github.com/millrace/millrace/router/aggregate"
)

// Order is the state of an order.
type Order struct {
	Name string `json:"name"`
}

// The refusals of orders.
var (
	ErrExists   = &aggregate.Refusal{Slug: "order-exists", Detail: "the order exists already"}
	ErrNotFound = &aggregate.Refusal{Slug: "order-not-found", Detail: "there is no such order", Kind: aggregate.NotFound}
)

// Aggregate is the aggregate "order". An event "orderNamed" of an earlier
// release had the name in a member "title".
var Aggregate = aggregate.Of(aggregate.Definition[Order]{
	Name: "order", Plural: "orders",
	Commands: []func() aggregate.Command[Order]{func() aggregate.Command[Order] { return new(PlaceOrder) }},
	Events: []func() aggregate.Event[Order]{
		func() aggregate.Event[Order] { return new(OrderPlaced) },
		func() aggregate.Event[Order] { return new(OrderRenamed) },
		func() aggregate.Event[Order] { return new(OrderCancelled) },
	},
	Refusals: []*aggregate.Refusal{ErrExists, ErrNotFound},
	Upcasts:  []aggregate.Upcast{{From: "orderNamed", To: "orderRenamed", Body: titleToName}},
})

// Types are both aggregates.
var Types = []*aggregate.Type{Aggregate, Parcels}

// Registry has both aggregates.
var Registry = registry()

func registry() *aggregate.Registry {
	r, err := aggregate.NewRegistry(Types...)
	if err != nil {
		panic(err) // a fault of this package
	}
	return r
}

func titleToName(old []byte) ([]byte, error) {
	var was struct{ ID, Title string }
	if err := json.Unmarshal(old, &was); err != nil {
		return nil, err
	}
	return json.Marshal(OrderRenamed{ID: was.ID, Name: was.Title})
}

// PlaceOrder asks for a new order.
type PlaceOrder struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Type is "placeOrder".
func (PlaceOrder) Type() string { return "placeOrder" }

// AggregateID is the order's id.
func (c PlaceOrder) AggregateID() string { return c.ID }

// Decide places the order.
func (c PlaceOrder) Decide(o Order) (aggregate.Event[Order], error) {
	if o.Name != "" {
		return nil, ErrExists
	}
	return OrderPlaced(c), nil
}

// OrderPlaced says that there is a new order.
type OrderPlaced struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Type is "orderPlaced".
func (OrderPlaced) Type() string { return "orderPlaced" }

// AggregateID is the order's id.
func (e OrderPlaced) AggregateID() string { return e.ID }

// Apply returns the new order.
func (e OrderPlaced) Apply(Order) Order { return Order{Name: e.Name} }

// OrderRenamed says that an order has another name.
type OrderRenamed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Type is "orderRenamed".
func (OrderRenamed) Type() string { return "orderRenamed" }

// AggregateID is the order's id.
func (e OrderRenamed) AggregateID() string { return e.ID }

// Apply sets the name.
func (e OrderRenamed) Apply(Order) Order { return Order{Name: e.Name} }

// OrderCancelled says that an order ended.
type OrderCancelled struct {
	ID string `json:"id"`
}

// Type is "orderCancelled".
func (OrderCancelled) Type() string { return "orderCancelled" }

// AggregateID is the order's id.
func (e OrderCancelled) AggregateID() string { return e.ID }

// Apply ends the order.
func (e OrderCancelled) Apply(Order) Order { return Order{} }
