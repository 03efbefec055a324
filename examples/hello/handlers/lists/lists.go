// Package lists is the aggregate "list": a list with items, such as a shopping
// list, and the rules of the five commands about a list.
//
// A command and its event share a file, named for the command. A new command is
// a new file, a line in Commands and a line in Events.
package lists

import (
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// Aggregate is the aggregate "list", as a service registers an aggregate.
var Aggregate = aggregate.Of(aggregate.Definition[List]{
	Name:    "list",
	Plural:  "lists",
	ParseID: ParseID,
	Commands: []func() aggregate.Command[List]{
		func() aggregate.Command[List] { return new(CreateList) },
		func() aggregate.Command[List] { return new(AddItem) },
		func() aggregate.Command[List] { return new(CheckItem) },
		func() aggregate.Command[List] { return new(RemoveItem) },
		func() aggregate.Command[List] { return new(CloseList) },
	},
	Events: []func() aggregate.Event[List]{
		func() aggregate.Event[List] { return new(ListCreated) },
		func() aggregate.Event[List] { return new(ItemAdded) },
		func() aggregate.Event[List] { return new(ItemChecked) },
		func() aggregate.Event[List] { return new(ItemRemoved) },
		func() aggregate.Event[List] { return new(ListClosed) },
	},
	Refusals: []*aggregate.Refusal{ErrExists, ErrNotFound, ErrClosed, ErrFull, ErrItemThere, ErrItemNotThere},
})

// List is the state of a list: everything that the next decision depends on,
// and nothing else. The title and the quantities decide nothing, so the state
// has neither.
type List struct {
	Status Status `json:"status"`
	Items  []Item `json:"items"`
}

// Item is an item on a list.
type Item struct {
	Name    Text `json:"name"`
	Checked bool `json:"checked"`
}

// Status says where a list is in life.
type Status uint8

// The statuses of a list. The zero value is a list that nobody created.
const (
	Absent Status = iota
	Open
	Closed
)

// place is the index of an item, -1 for an item that is not on the list.
func (l List) place(item Text) int {
	return slices.IndexFunc(l.Items, func(i Item) bool { return i.Name == item })
}

// mustBeOpen refuses a command about a list that is absent or closed.
func (l List) mustBeOpen() error {
	switch l.Status {
	case Absent:
		return ErrNotFound
	case Closed:
		return ErrClosed
	default:
		return nil
	}
}
