package lists

import (
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// RemoveItem asks to take an item off a list.
type RemoveItem struct {
	ID   ID   `json:"id"`
	Item Text `json:"item"`
}

// Type is "removeItem".
func (RemoveItem) Type() string { return "removeItem" }

// AggregateID is the id of the list.
func (c RemoveItem) AggregateID() string { return string(c.ID) }

// Decide removes an item that is on the list.
func (c RemoveItem) Decide(l List) (aggregate.Event[List], error) {
	if err := l.mustBeOpen(); err != nil {
		return nil, err
	}
	if l.place(c.Item) < 0 {
		return nil, ErrItemNotThere
	}
	return ItemRemoved(c), nil
}

// ItemRemoved says that an item was taken off a list.
type ItemRemoved struct {
	ID   ID   `json:"id"`
	Item Text `json:"item"`
}

// Type is "itemRemoved".
func (ItemRemoved) Type() string { return "itemRemoved" }

// AggregateID is the id of the list.
func (e ItemRemoved) AggregateID() string { return string(e.ID) }

// Apply takes the item off a copy of the list.
func (e ItemRemoved) Apply(l List) List {
	l.Items = slices.DeleteFunc(slices.Clone(l.Items), func(i Item) bool { return i.Name == e.Item })
	return l
}
