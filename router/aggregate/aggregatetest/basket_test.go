package aggregatetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
)

type basket struct {
	Items []string       `json:"items"`
	By    map[string]int `json:"by,omitempty"`
}

var errFull = &aggregate.Refusal{Slug: "basket-full", Detail: "the basket is full"}

// addItem is decided as its item says.
type addItem struct {
	ID   string `json:"id"`
	Item string `json:"item"`
	Note *text  `json:"note"`
}

// text is trimmed when it is read.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var given string
	err := json.Unmarshal(data, &given)
	*t = text(strings.TrimSpace(given))
	return err
}

var random int

func (addItem) Type() string          { return "addItem" }
func (c addItem) AggregateID() string { return c.ID }
func (c addItem) Decide(b basket) (aggregate.Event[basket], error) {
	switch {
	case c.Item == "nothing":
		return nil, nil
	case c.Item == "broken":
		return nil, errors.New("broken")
	case c.Item == "random":
		random++
		c.Item = strconv.Itoa(random)
	case c.Item == "changing":
		b.Items[0] = "changed"
		return nil, nil
	case len(b.Items) == 3:
		return nil, errFull
	}
	return &itemAdded{c.ID, c.Item, c.Note}, nil
}

// itemAdded is applied as its item says.
type itemAdded struct {
	ID   string `json:"id"`
	Item string `json:"item"`
	Note *text  `json:"note"`
}

func (itemAdded) Type() string          { return "itemAdded" }
func (e itemAdded) AggregateID() string { return e.ID }
func (e itemAdded) Apply(b basket) basket {
	switch e.Item {
	case "roomy":
		return basket{Items: append(append(make([]string, 0, 9), b.Items...), e.Item)}
	case "shared 1", "shared 2":
		b.Items = append(b.Items, e.Item)
	case "changing":
		b.Items[0] = "changed"
	case "emptying":
		b.Items, b.By = nil, map[string]int{}
	case "random":
		random++
		b.Items = []string{strconv.Itoa(random)}
	default:
		b.Items = append(slices.Clone(b.Items), e.Item)
	}
	return b
}

type stray struct {
	ID string `json:"id"`
}

func (stray) Type() string          { return "stray" }
func (e stray) AggregateID() string { return e.ID }

var definition = aggregate.Definition[basket]{
	Name: "basket", Plural: "baskets",
	ParseID: func(id string) (string, error) {
		if id == "refused" {
			return "", errors.New("must be another one")
		}
		return strings.ToLower(id), nil
	},
	Commands: []func() aggregate.Command[basket]{func() aggregate.Command[basket] { return new(addItem) }},
	Events:   []func() aggregate.Event[basket]{func() aggregate.Event[basket] { return new(itemAdded) }},
	Refusals: []*aggregate.Refusal{errFull},
	Upcasts: []aggregate.Upcast{{From: "itemsCounted", To: "itemAdded", Body: func(old []byte) ([]byte, error) {
		var was struct {
			ID     string
			Number int
		}
		if err := json.Unmarshal(old, &was); err != nil {
			return nil, err
		}
		return json.Marshal(itemAdded{ID: was.ID, Item: strconv.Itoa(was.Number)})
	}}},
}

var baskets = aggregate.Of(definition)

// recorder is a test that keeps its failures.
type recorder struct {
	testing.TB
	failures []string
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

// failuresOf are the failures of a test.
func failuresOf(test func(testing.TB)) (failures string) {
	r := &recorder{}
	defer func() {
		if value := recover(); value != nil && value != r {
			panic(value)
		}
		failures = strings.Join(r.failures, "\n")
	}()
	test(r)
	return
}
