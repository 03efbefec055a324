package aggregatetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
)

func TestRules(t *testing.T) {
	note := text("fat")
	milk := itemAdded{ID: "1", Item: "milk", Note: &note}
	Given(t, baskets).ThenState(basket{})
	Given(t, baskets).When(addItem{ID: "1", Item: "milk", Note: &note}).Then(milk).ThenState(basket{Items: []string{"milk"}})
	Given(t, baskets).When(&addItem{ID: "1", Item: "nothing"}).ThenUnchanged().ThenState(basket{})
	full := Given(t, baskets, milk, &milk, milk)
	full.When(addItem{ID: "1", Item: "bread"}).ThenRefused(errFull).ThenState(basket{Items: []string{"milk", "milk", "milk"}})

	// one history, several decisions
	two := Given(t, baskets, milk, milk)
	two.When(addItem{ID: "1", Item: "bread"}).Then(&itemAdded{ID: "1", Item: "bread"}).When(addItem{ID: "1", Item: "tea"}).ThenRefused(errFull)
	two.When(addItem{ID: "1", Item: "tea"}).Then(&itemAdded{ID: "1", Item: "tea"})
	two.ThenState(basket{Items: []string{"milk", "milk"}})
}

func TestFailures(t *testing.T) {
	padded := text(" fat ")
	milk, bread := itemAdded{ID: "1", Item: "milk"}, addItem{ID: "1", Item: "bread"}
	adding := func(items ...string) func(testing.TB) {
		return func(t testing.TB) {
			h := Given(t, baskets)
			for _, item := range items {
				h = h.and(itemAdded{ID: "1", Item: item})
			}
		}
	}
	when := func(c addItem) func(testing.TB) { return func(t testing.TB) { Given(t, baskets, milk).When(c) } }
	const given = "\ngiven\n\titemAdded {\"id\":\"1\",\"item\":\"milk\",\"note\":null}\nwith the state\n\t{Items:[milk] By:map[]}\n"
	const whenBread = "when\n\taddItem {\"id\":\"1\",\"item\":\"bread\",\"note\":null}\n"
	for _, test := range []struct {
		test func(testing.TB)
		want string // the begin of the failure
	}{
		{func(t testing.TB) {
			Given(t, aggregate.Of(aggregate.Definition[basket]{Name: "basket", Plural: "baskets"}))
		}, `aggregate "basket": there are no commands`},
		{func(t testing.TB) { Given(t, baskets, nil) }, "an event is nil\ngiven no events\n"},
		{func(t testing.TB) { Given(t, baskets, milk, (*itemAdded)(nil)) }, "an event is nil" + given},
		{func(t testing.TB) { Given(t, baskets, stray{"1"}) }, `event stray {"id":"1"} can't be read: unknown event type "stray"`},
		{func(t testing.TB) { Given(t, baskets, itemAdded{}) }, `event itemAdded {"id":"","item":"","note":null} can't be read: decode itemAdded: the body has an empty id`},
		{func(t testing.TB) { Given(t, baskets, itemAdded{ID: "1", Note: &padded}) }, `event itemAdded is written as {"id":"1","item":"","note":" fat "}, and read as another event:`},
		{func(t testing.TB) { Given(t, baskets, milk, itemAdded{ID: "2"}) }, `event itemAdded {"id":"2","item":"","note":null} is of basket "2"` + given},
		{adding("milk", "changing"), `Apply of event itemAdded {"id":"1","item":"changing","note":null} changes the state that is there from {"items":["milk"]} to {"items":["changed"]}: return a changed copy`},
		{adding("roomy", "milk", "roomy", "shared 1", "milk"), ""},
		{adding("roomy", "shared 1", "shared 2"), `the state shares a slice or a map with the state before: Apply of itemAdded {"id":"1","item":"shared 1","note":null} ` +
			`to the state before changes the state from {"items":["roomy","shared 1","shared 2"]} to {"items":["roomy","shared 1","shared 1"]}: copy a slice or a map before it is changed`},
		{adding("random"), `event itemAdded {"id":"1","item":"random","note":null}, applied twice to one state, makes {"items":["`},
		{adding("emptying"), "the state {Items:[] By:map[]} is written as {\"items\":null}, and read as another state: an empty slice or map is not a nil one"},
		{func(t testing.TB) { Given(t, baskets, milk).ThenState(basket{}) }, "the state is\n\t{Items:[milk] By:map[]}\nwant\n\t{Items:[] By:map[]}" + given},
		{func(t testing.TB) { Given(t, baskets).ThenState(7) }, "int is no state of aggregate basket"},
		{func(t testing.TB) { Given(t, baskets).ThenState(nil) }, "<nil> is no state of aggregate basket"},
		{func(t testing.TB) { Given(t, baskets).ThenState(&basket{}) }, "*aggregatetest.basket is no state of aggregate basket"},

		{func(t testing.TB) { Given(t, baskets).When(nil) }, "the command is nil\ngiven no events\n"},
		{func(t testing.TB) { Given(t, baskets).When(stray{"1"}) }, "aggregatetest.stray is not among the commands of aggregate basket"},
		{when(addItem{ID: "2"}), `command addItem is about basket "2", and the history is that of "1"` + given},
		{when(addItem{ID: "refused"}), `command addItem: the id "refused" must be another one`},
		{when(addItem{ID: "A"}), `command addItem: the id "A" is written as "a"`},
		{when(addItem{ID: "1", Note: &padded}), `command addItem is written as {"id":"1","item":"","note":" fat "}, and read as another command:`},
		{when(addItem{ID: "1", Item: "changing"}), `Decide changes the state from {"items":["milk"]} to {"items":["changed"]}`},
		{when(addItem{ID: "1", Item: "random"}), `the command, decided twice on one state, makes event itemAdded {"id":"1","item":"`},

		{func(t testing.TB) { Given(t, baskets, milk).When(bread).Then(nil) }, "Then wants an event: ThenUnchanged is for none" + given + whenBread},
		{func(t testing.TB) { Given(t, baskets, milk).When(bread).Then(milk) }, "the command makes event itemAdded {\"id\":\"1\",\"item\":\"bread\",\"note\":null}\n" +
			"want event itemAdded {\"id\":\"1\",\"item\":\"milk\",\"note\":null}" + given + whenBread},
		{func(t testing.TB) { Given(t, baskets, milk).When(bread).ThenUnchanged() }, "the command makes event itemAdded {\"id\":\"1\",\"item\":\"bread\",\"note\":null}\nwant nothing to change" + given + whenBread},
		{func(t testing.TB) { Given(t, baskets, milk).When(bread).ThenRefused(errFull) }, "the command makes event itemAdded {\"id\":\"1\",\"item\":\"bread\",\"note\":null}\n" +
			"want refusal \"basket-full\" (Conflict): the basket is full" + given + whenBread},
		{func(t testing.TB) { Given(t, baskets, milk).When(bread).ThenRefused(nil) }, "ThenRefused wants a refusal" + given},
		{func(t testing.TB) { Given(t, baskets, milk, milk, milk).When(bread).Then(milk) }, "the command makes refusal \"basket-full\" (Conflict): the basket is full\nwant event "},
		{func(t testing.TB) {
			Given(t, baskets, milk, milk, milk).When(bread).ThenRefused(&aggregate.Refusal{Slug: "basket-full"})
		}, "the command makes refusal \"basket-full\" (Conflict): the basket is full\nwant refusal "},
		{func(t testing.TB) { Given(t, baskets).When(addItem{ID: "1", Item: "nothing"}).Then(milk) }, "the command makes nothing to change\nwant event "},
		{func(t testing.TB) { Given(t, baskets).When(addItem{ID: "1", Item: "broken"}).ThenUnchanged() }, "the command makes an error, which parks the aggregate's commands: broken\nwant nothing to change\ngiven no events\nwhen\n"},
	} {
		if got := failuresOf(test.test); !strings.HasPrefix(got, test.want) || (got == "") != (test.want == "") {
			t.Errorf("got\n%s\nwant\n%s", got, test.want)
		}
	}
}

func TestEventBodies(t *testing.T) {
	EventBodies(t, baskets, "testdata/events.golden")
	golden := func(text string) string {
		file := filepath.Join(t.TempDir(), "events.golden")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := failuresOf(func(t testing.TB) { EventBodies(t, baskets, file) })
		return strings.ReplaceAll(got, file, "FILE")
	}
	const added, counted = "itemAdded {\"id\":\"1\",\"item\":\"a\",\"note\":null}\n", "itemsCounted {\"id\":\"1\",\"number\":2}\n  itemAdded {\"id\":\"1\",\"item\":\"2\",\"note\":null}\n"
	for text, want := range map[string]string{
		added + counted:                    "",
		"":                                 "FILE: there is no line of event itemAdded\nFILE: there is no line of event itemsCounted",
		added:                              "FILE: there is no line of event itemsCounted",
		counted:                            "FILE: there is no line of event itemAdded",
		" a\n" + added + counted:           "FILE: there is no older form above\n\t a",
		added + counted + "  itemAdded {}": "FILE: there is no older form above\n\t  itemAdded {}",
		added + counted + "itemLost {}":    "FILE: unknown event type \"itemLost\"\n\titemLost {}",
		added + counted + "itemAdded":      "FILE: decode itemAdded: unexpected end of JSON input\n\titemAdded",
		added + counted + "itemAdded {\"id\":\"1\",\"item\":\"a\"}": "FILE: the event\n\titemAdded {\"id\":\"1\",\"item\":\"a\"}\nis read and written as\n\t" + added + "want\n\titemAdded {\"id\":\"1\",\"item\":\"a\"}",
	} {
		if got := golden(text); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if got := failuresOf(func(t testing.TB) { EventBodies(t, baskets, "testdata/none") }); !strings.Contains(got, "testdata/none") {
		t.Errorf("got %s", got)
	}
	if got := failuresOf(func(t testing.TB) { EventBodies(t, aggregate.Of(aggregate.Definition[basket]{}), "testdata/none") }); !strings.HasPrefix(got, `aggregate "": the name must be`) {
		t.Errorf("got %s", got)
	}
}

func TestCommandBodies(t *testing.T) {
	const added = "addItem {\"id\":\"1\",\"item\":\"a\",\"note\":null}"
	for text, want := range map[string]string{
		"# all\n\n" + added + "\n":              "",
		"":                                      "FILE: there is no line of command addItem",
		added + "\nlose {}":                     "FILE: there is no command lose\n\tlose {}",
		"addItem {\"id\":\"1\",\"item\":\"a\"}": "FILE: the command\n\taddItem {\"id\":\"1\",\"item\":\"a\"}\nis read and written as\n\t" + added,
		"addItem {\"id\":\"1\",\"old\":\"a\"}":  "FILE: json: unknown field \"old\"\n\taddItem {\"id\":\"1\",\"old\":\"a\"}",
		"addItem":                               "FILE: EOF\n\taddItem",
	} {
		file := filepath.Join(t.TempDir(), "commands.golden")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(failuresOf(func(t testing.TB) { CommandBodies(t, baskets, file) }), file, "FILE")
		if got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	if got := failuresOf(func(t testing.TB) { CommandBodies(t, baskets, "testdata/none") }); !strings.Contains(got, "testdata/none") {
		t.Errorf("got %s", got)
	}
	if got := failuresOf(func(t testing.TB) { CommandBodies(t, aggregate.Of(aggregate.Definition[basket]{}), "testdata/none") }); !strings.HasPrefix(got, `aggregate "": the name must be`) {
		t.Errorf("got %s", got)
	}
}
