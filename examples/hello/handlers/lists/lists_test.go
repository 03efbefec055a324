package lists_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"example.com/hello/handlers/lists"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/aggregate/aggregatetest"
)

var (
	created = lists.ListCreated{ID: "groceries", Title: "Groceries"}
	milk    = lists.ItemAdded{ID: "groceries", Item: "milk", Quantity: 2}
	bread   = lists.ItemAdded{ID: "groceries", Item: "bread", Quantity: 1}
	checked = lists.ItemChecked{ID: "groceries", Item: "milk"}
	closed  = lists.ListClosed{ID: "groceries"}
)

// given is the list "groceries" after these events.
func given(t *testing.T, events ...aggregate.AnyEvent) *aggregatetest.History {
	t.Helper()
	return aggregatetest.Given(t, lists.Aggregate, events...)
}

func TestCreateList(t *testing.T) {
	create := lists.CreateList{ID: "groceries", Title: "Groceries"}
	given(t).When(create).Then(created).ThenState(lists.List{Status: lists.Open})
	given(t, created).When(create).ThenRefused(lists.ErrExists)
	given(t, created, closed).When(create).ThenRefused(lists.ErrExists)
}

func TestAddItem(t *testing.T) {
	add := lists.AddItem{ID: "groceries", Item: "milk", Quantity: 2}
	given(t, created).When(add).Then(milk)
	given(t, created, bread).When(add).Then(milk).
		ThenState(lists.List{Status: lists.Open, Items: []lists.Item{{Name: "bread"}, {Name: "milk"}}})
	given(t, created).When(lists.AddItem{ID: "groceries", Item: "bread"}).Then(bread)
	given(t, created, milk).When(add).ThenRefused(lists.ErrItemThere)
	given(t).When(add).ThenRefused(lists.ErrNotFound)
	given(t, created, closed).When(add).ThenRefused(lists.ErrClosed)
}

func TestListIsFull(t *testing.T) {
	history := []aggregate.AnyEvent{created}
	for n := range 100 {
		history = append(history, lists.ItemAdded{ID: "groceries", Item: lists.Text(fmt.Sprint("item ", n)), Quantity: 1})
	}
	given(t, history...).When(lists.AddItem{ID: "groceries", Item: "milk"}).ThenRefused(lists.ErrFull)
}

func TestCheckItem(t *testing.T) {
	check := lists.CheckItem{ID: "groceries", Item: "milk"}
	given(t, created, bread, milk).When(check).Then(checked).
		ThenState(lists.List{Status: lists.Open, Items: []lists.Item{{Name: "bread"}, {Name: "milk", Checked: true}}})
	given(t, created, milk, checked).When(check).ThenUnchanged()
	given(t, created, bread).When(check).ThenRefused(lists.ErrItemNotThere)
	given(t).When(check).ThenRefused(lists.ErrNotFound)
	given(t, created, milk, closed).When(check).ThenRefused(lists.ErrClosed)
}

func TestRemoveItem(t *testing.T) {
	remove := lists.RemoveItem{ID: "groceries", Item: "milk"}
	removed := lists.ItemRemoved{ID: "groceries", Item: "milk"}
	given(t, created, milk, bread, checked).When(remove).Then(removed).
		ThenState(lists.List{Status: lists.Open, Items: []lists.Item{{Name: "bread"}}})
	given(t, created, milk).When(remove).Then(removed).When(remove).ThenRefused(lists.ErrItemNotThere)
	given(t).When(remove).ThenRefused(lists.ErrNotFound)
	given(t, created, milk, closed).When(remove).ThenRefused(lists.ErrClosed)
}

func TestCloseList(t *testing.T) {
	closeIt := lists.CloseList{ID: "groceries"}
	given(t, created, milk).When(closeIt).Then(closed).ThenState(lists.List{Status: lists.Closed})
	given(t, created, closed).When(closeIt).ThenRefused(lists.ErrClosed)
	given(t).When(closeIt).ThenRefused(lists.ErrNotFound)
}

// The log is kept for ever: a body that a release has written stays readable.
func TestEventBodies(t *testing.T) {
	aggregatetest.EventBodies(t, lists.Aggregate, "testdata/events.golden")
}

// A command that clients of an earlier release send is taken as before.
func TestCommandBodies(t *testing.T) {
	aggregatetest.CommandBodies(t, lists.Aggregate, "testdata/commands.golden")
}

func TestParseID(t *testing.T) {
	for _, id := range []string{"groceries", "2026", "summer-party-2026", strings.Repeat("a", 64)} {
		if got, err := lists.ParseID(id); got != id || err != nil {
			t.Errorf("%q: %q, %v", id, got, err)
		}
	}
	for _, id := range []string{"", "-", "a--b", "-a", "Groceries", "a b", "a/b", "ä", strings.Repeat("a", 65)} {
		if _, err := lists.ParseID(id); err == nil {
			t.Errorf("%q is taken", id)
		}
	}
}

func TestText(t *testing.T) {
	for given, want := range map[string]lists.Text{
		`"milk"`:                             "milk",
		`"  oat milk "`:                      "oat milk",
		`"` + strings.Repeat("ä", 200) + `"`: lists.Text(strings.Repeat("ä", 200)),
		`""`:                                 "",
		`" "`:                                "",
		`"two\nlines"`:                       "",
		`"` + strings.Repeat("ä", 201) + `"`: "",
		`1`:                                  "",
		`null`:                               "",
		`["milk"]`:                           "",
	} {
		var got lists.Text
		if err := json.Unmarshal([]byte(given), &got); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", given, got, err)
		}
	}
}
