package aggregate_test

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// List is the state of a shopping list.
type List struct {
	Items []string `json:"items"`
}

// ErrOnList refuses an item that is there.
var ErrOnList = &aggregate.Refusal{Slug: "item-on-list", Detail: "the item is on the list already"}

// AddItem asks for one more item.
type AddItem struct {
	List string `json:"list"`
	Item string `json:"item"`
}

// Type is "addItem".
func (AddItem) Type() string { return "addItem" }

// AggregateID is the list's id.
func (c AddItem) AggregateID() string { return c.List }

// Decide adds an item that is not on the list.
func (c AddItem) Decide(l List) (aggregate.Event[List], error) {
	if slices.Contains(l.Items, c.Item) {
		return nil, ErrOnList
	}
	return ItemAdded(c), nil
}

// ItemAdded says that a list has one more item.
type ItemAdded struct {
	List string `json:"list"`
	Item string `json:"item"`
}

// Type is "itemAdded".
func (ItemAdded) Type() string { return "itemAdded" }

// AggregateID is the list's id.
func (e ItemAdded) AggregateID() string { return e.List }

// Apply adds the item to a copy of the items.
func (e ItemAdded) Apply(l List) List {
	return List{Items: append(slices.Clone(l.Items), e.Item)}
}

// Lists is the aggregate "list".
var Lists = aggregate.Of(aggregate.Definition[List]{
	Name:     "list",
	Plural:   "lists",
	Commands: []func() aggregate.Command[List]{func() aggregate.Command[List] { return new(AddItem) }},
	Events:   []func() aggregate.Event[List]{func() aggregate.Event[List] { return new(ItemAdded) }},
	Refusals: []*aggregate.Refusal{ErrOnList},
})

// A whole aggregate: its definition is the variable Lists.
func Example() {
	registry, err := aggregate.NewRegistry(Lists)
	if err != nil {
		fmt.Println(err)
		return
	}
	list := registry.Type("list")
	var state any // nothing happened
	for _, item := range []string{"milk", "bread", "milk"} {
		event, err := list.Decide(state, &AddItem{List: "monday", Item: item})
		var no *aggregate.Refusal
		if errors.As(err, &no) {
			fmt.Println("no:", no.Slug)
			continue
		}
		state = list.Apply(state, event)
		body, err := list.EncodeState(state)
		fmt.Println(list.Stream("monday"), string(body), err)
	}
	// Output:
	// list/monday {"items":["milk"]} <nil>
	// list/monday {"items":["milk","bread"]} <nil>
	// no: item-on-list
}
