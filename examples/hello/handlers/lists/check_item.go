package lists

import (
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// CheckItem asks to check an item off.
type CheckItem struct {
	ID   ID   `json:"id"`
	Item Text `json:"item"`
}

// Type is "checkItem".
func (CheckItem) Type() string { return "checkItem" }

// AggregateID is the id of the list.
func (c CheckItem) AggregateID() string { return string(c.ID) }

// Decide checks off an item that is on the list. If the item is checked
// already, there is nothing to change.
func (c CheckItem) Decide(l List) (aggregate.Event[List], error) {
	if err := l.mustBeOpen(); err != nil {
		return nil, err
	}
	place := l.place(c.Item)
	if place < 0 {
		return nil, ErrItemNotThere
	}
	if l.Items[place].Checked {
		return nil, nil
	}
	return ItemChecked(c), nil
}

// ItemChecked says that an item was checked off.
type ItemChecked struct {
	ID   ID   `json:"id"`
	Item Text `json:"item"`
}

// Type is "itemChecked".
func (ItemChecked) Type() string { return "itemChecked" }

// AggregateID is the id of the list.
func (e ItemChecked) AggregateID() string { return string(e.ID) }

// Apply checks the item off in a copy of the list.
func (e ItemChecked) Apply(l List) List {
	l.Items = slices.Clone(l.Items)
	if place := l.place(e.Item); place >= 0 {
		l.Items[place].Checked = true
	}
	return l
}
