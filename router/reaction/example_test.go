package reaction_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/router/reaction/reactiontest"
)

// Shipping sends a parcel an hour after its order was placed, unless the order
// is cancelled before.
var Shipping = &reaction.Reaction{
	Name: "shipping",
	Of:   []string{"order"},
	React: func(r reaction.Record) ([]reaction.Command, error) {
		parcel := orders.SendParcel{ID: r.AggregateID}
		switch r.Event.(type) {
		case *orders.OrderPlaced:
			return []reaction.Command{reaction.Later(parcel, r.Time.Add(time.Hour))}, nil
		case *orders.OrderCancelled:
			return []reaction.Command{reaction.Cancel(parcel)}, nil
		}
		return nil, nil // another event, or the end of sendParcel
	},
}

func TestShipping(t *testing.T) {
	of := reactiontest.Of(t, Shipping, orders.Types...)
	of.Given(orders.OrderPlaced{ID: "7", Name: "tea"}).
		ThenCommands(reaction.Later(orders.SendParcel{ID: "7"}, reactiontest.Time.Add(time.Hour)))
	of.Given(orders.OrderCancelled{ID: "7"}).ThenCommands(reaction.Cancel(orders.SendParcel{ID: "7"}))
	of.Given(orders.OrderRenamed{ID: "7", Name: "coffee"}).ThenNothing()
	of.GivenUnchanged(orders.SendParcel{ID: "7"}).ThenNothing()
}

// A service lists its reactions in its Domain. Package reactiontest asks a
// reaction in a test; here the same call, by hand.
func Example() {
	commands, err := Shipping.Answer(orders.Registry, reaction.Record{
		Stream: "order/7", AggregateID: "7", Seq: 1, Version: 1,
		Time:  time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC),
		Event: &orders.OrderPlaced{ID: "7", Name: "tea"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range commands {
		fmt.Println(c.Command.Type(), c.Stream(orders.Registry), "not before", c.NotBefore.Format(time.TimeOnly))
	}
	// Output: sendParcel parcel/7 not before 13:00:00
}
