package service

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
)

// withOrders makes the program one with a second aggregate beside users: "1" is
// the first release of orders, "2" the one in which an item comes in pieces.
const withOrders = "TEST_ORDERS"

// order is the state of an order. An order of so many pieces is full.
type order struct {
	Pieces int  `json:"pieces"`
	Paid   bool `json:"paid"`
}

const fullOrder = 12

var (
	errOrderPaid = &aggregate.Refusal{Slug: "order-paid", Detail: "the order is paid", Kind: aggregate.Conflict}
	errOrderFull = &aggregate.Refusal{Slug: "order-full", Detail: "the order is full", Kind: aggregate.Conflict}
)

// orders is the aggregate in its first release.
var orders = aggregate.Definition[order]{
	Name: "order", Plural: "orders",
	ParseID: func(text string) (string, error) {
		if strings.ToLower(text) != text || len(text) == 0 || len(text) > 8 {
			return "", errors.New("must be 1 to 8 characters, none of them a capital")
		}
		return text, nil
	},
	Commands: []func() aggregate.Command[order]{
		func() aggregate.Command[order] { return new(addItem) },
		func() aggregate.Command[order] { return new(payOrder) },
	},
	Events: []func() aggregate.Event[order]{
		func() aggregate.Event[order] { return new(itemAdded) },
		func() aggregate.Event[order] { return new(orderPaid) },
	},
	Refusals: []*aggregate.Refusal{errOrderPaid, errOrderFull},
}

// ordersOf is the aggregate in a release. In the second one, event itemAdded is
// piecesAdded, with how many there are: one, in an old event.
func ordersOf(release string) *aggregate.Type {
	of := orders
	if release != "2" {
		return aggregate.Of(of)
	}
	of.Commands = []func() aggregate.Command[order]{func() aggregate.Command[order] { return new(addPieces) }, of.Commands[1]}
	of.Events = []func() aggregate.Event[order]{func() aggregate.Event[order] { return new(piecesAdded) }, of.Events[1]}
	of.Version = 1
	of.Upcasts = []aggregate.Upcast{{From: "itemAdded", To: "piecesAdded", Body: func(old []byte) ([]byte, error) {
		members, ok := strings.CutSuffix(string(old), "}")
		if !ok {
			return nil, fmt.Errorf("not an object: %s", old)
		}
		return []byte(members + `,"pieces":1}`), nil
	}}}
	return aggregate.Of(of)
}

type addItem struct {
	Order string `json:"order"`
	Item  string `json:"item"`
}

func (addItem) Type() string          { return "addItem" }
func (c addItem) AggregateID() string { return c.Order }

func (c addItem) Decide(o order) (aggregate.Event[order], error) {
	if err := o.takes(c.Item); err != nil {
		return nil, err
	}
	return itemAdded(c), nil
}

// takes says why an order takes no such item, or nil.
func (o order) takes(item string) error {
	switch {
	case item == "poison" && os.Getenv(brokenRule) != "mended":
		panic("poison")
	case o.Paid:
		return errOrderPaid
	case o.Pieces >= fullOrder:
		return errOrderFull
	}
	return nil
}

// addPieces is addItem in the second release: an item comes as a pair.
type addPieces addItem

func (addPieces) Type() string          { return "addItem" }
func (c addPieces) AggregateID() string { return c.Order }

func (c addPieces) Decide(o order) (aggregate.Event[order], error) {
	if err := o.takes(c.Item); err != nil {
		return nil, err
	}
	return piecesAdded{c.Order, c.Item, 2}, nil
}

type itemAdded struct {
	Order string `json:"order"`
	Item  string `json:"item"`
}

func (itemAdded) Type() string          { return "itemAdded" }
func (e itemAdded) AggregateID() string { return e.Order }

func (itemAdded) Apply(o order) order {
	o.Pieces++
	return o
}

type piecesAdded struct {
	Order  string `json:"order"`
	Item   string `json:"item"`
	Pieces int    `json:"pieces"`
}

func (piecesAdded) Type() string          { return "piecesAdded" }
func (e piecesAdded) AggregateID() string { return e.Order }

func (e piecesAdded) Apply(o order) order {
	o.Pieces += e.Pieces
	return o
}

type payOrder struct {
	Order string `json:"order"`
}

func (payOrder) Type() string          { return "payOrder" }
func (c payOrder) AggregateID() string { return c.Order }

func (c payOrder) Decide(o order) (aggregate.Event[order], error) {
	if o.Paid {
		return nil, nil
	}
	return orderPaid(c), nil
}

type orderPaid struct {
	Order string `json:"order"`
}

func (orderPaid) Type() string          { return "orderPaid" }
func (e orderPaid) AggregateID() string { return e.Order }

func (orderPaid) Apply(o order) order {
	o.Paid = true
	return o
}
