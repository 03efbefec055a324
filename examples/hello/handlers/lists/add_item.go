package lists

import (
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// maxItems bounds the state of a list: the router keeps the state in memory.
const maxItems = 100

// AddItem asks for one more item on a list. Without a quantity the quantity is
// one.
type AddItem struct {
	ID       ID     `json:"id"`
	Item     Text   `json:"item"`
	Quantity uint16 `json:"quantity,omitempty"`
}

// Type is "addItem".
func (AddItem) Type() string { return "addItem" }

// AggregateID is the id of the list.
func (c AddItem) AggregateID() string { return string(c.ID) }

// Decide adds an item that is not on the list yet.
func (c AddItem) Decide(l List) (aggregate.Event[List], error) {
	if err := l.mustBeOpen(); err != nil {
		return nil, err
	}
	if l.place(c.Item) >= 0 {
		return nil, ErrItemThere
	}
	if len(l.Items) == maxItems {
		return nil, ErrFull
	}
	return ItemAdded{ID: c.ID, Item: c.Item, Quantity: max(c.Quantity, 1)}, nil
}

// ItemAdded says that an item was put on a list.
type ItemAdded struct {
	ID       ID     `json:"id"`
	Item     Text   `json:"item"`
	Quantity uint16 `json:"quantity"`
}

// Type is "itemAdded".
func (ItemAdded) Type() string { return "itemAdded" }

// AggregateID is the id of the list.
func (e ItemAdded) AggregateID() string { return string(e.ID) }

// Apply puts the item at the end of a copy of the list.
func (e ItemAdded) Apply(l List) List {
	l.Items = slices.Concat(l.Items, []Item{{Name: e.Item}})
	return l
}
