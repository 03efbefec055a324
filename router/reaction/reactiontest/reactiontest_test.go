package reactiontest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/reaction"
)

var calls int

// shipping is asked for parcels in several ways, by the order's name.
var shipping = &reaction.Reaction{
	Name: "shipping", Of: []string{"order"},
	React: func(r reaction.Record) ([]reaction.Command, error) {
		if r.Ended != nil {
			return []reaction.Command{reaction.Send(orders.PlaceOrder{ID: r.AggregateID, Name: r.Ended.Refusal + " again"})}, nil
		}
		placed, ok := r.Event.(*orders.OrderPlaced)
		if !ok {
			return nil, nil
		}
		version := uint64(3)
		parcel := orders.SendParcel{ID: placed.ID}
		switch placed.Name {
		case "broken":
			return nil, errors.New("broken")
		case "random":
			calls++
			parcel.ID = fmt.Sprint(calls)
		case "changing":
			placed.Name = "changed"
		case "late":
			return []reaction.Command{
				reaction.Later(parcel, r.Time.Add(time.Minute)), {Command: parcel, ExpectedVersion: &version}, reaction.Cancel(parcel),
			}, nil
		}
		return []reaction.Command{reaction.Send(&parcel)}, nil
	},
}

func placed(name string) orders.OrderPlaced { return orders.OrderPlaced{ID: "7", Name: name} }

func TestAnswers(t *testing.T) {
	of := Of(t, shipping, orders.Types...)
	parcel, three := orders.SendParcel{ID: "7"}, uint64(3)
	of.Given(placed("tea")).Then(parcel)
	of.Given(orders.OrderCancelled{ID: "7"}).ThenNothing()
	of.Given(placed("broken")).ThenParked("broken")
	of.Given(placed("late")).ThenCommands(
		reaction.Later(parcel, Time.Add(time.Minute)), reaction.Command{Command: parcel, ExpectedVersion: &three}, reaction.Cancel(parcel),
	)
	of.GivenUnchanged(parcel).Then(orders.PlaceOrder{ID: "7", Name: " again"})
	of.GivenRefused(orders.PlaceOrder{ID: "7"}, orders.ErrExists).Then(orders.PlaceOrder{ID: "7", Name: "order-exists again"})
}

// failing is a test that notes the first failure.
type failing struct {
	testing.TB
	text string
}

func (*failing) Helper()           {}
func (f *failing) Fatal(a ...any)  { f.fail(fmt.Sprint(a...)) }
func (f *failing) fail(why string) { f.text = why; panic(f) }
func (f *failing) Fatalf(format string, a ...any) {
	f.fail(fmt.Sprintf(format, a...))
}

func TestFailures(t *testing.T) {
	parcel := orders.SendParcel{ID: "7"}
	for _, test := range []struct {
		test func(*Tester)
		want string // in the failure
	}{
		{func(of *Tester) { of.Given(placed("tea")).ThenNothing() }, "given\n\tevent orderPlaced {\"id\":\"7\",\"name\":\"tea\"}\nreaction shipping answers \n\tsendParcel {\"id\":\"7\"}\nwant nothing"},
		{func(of *Tester) { of.Given(placed("tea")).Then(orders.SendParcel{ID: "8"}) }, "want \n\tsendParcel {\"id\":\"8\"}"},
		{func(of *Tester) { of.Given(placed("tea")).Then(parcel, parcel) }, "want \n\tsendParcel"},
		{func(of *Tester) { of.Given(placed("late")).Then(parcel, parcel, parcel) }, "not before 2026-01-02T12:01:00Z\n\tsendParcel {\"id\":\"7\"} at version 3\n\tcancel sendParcel of 7\nwant"},
		{func(of *Tester) { of.Given(placed("tea")).ThenParked("broken") }, `want parked, with an error that contains "broken"`},
		{func(of *Tester) { of.Given(placed("broken")).Then(parcel) }, "answers an error, which parks the stream: broken"},
		{func(of *Tester) { of.Given(placed("random")) }, "the reaction, asked twice, answers"},
		{func(of *Tester) { of.Given(placed("changing")) }, "React changes the record from"},
		{func(of *Tester) { of.Given(orders.ParcelSent{ID: "7"}) }, "reaction shipping is not of aggregate parcel"},
		{func(of *Tester) { of.GivenUnchanged(nil) }, "no aggregate has the command <nil>"},
	} {
		f := &failing{TB: t}
		func() {
			defer func() {
				if value := recover(); value != nil && value != any(f) {
					panic(value)
				}
			}()
			test.test(Of(f, shipping, orders.Types...))
		}()
		if !strings.Contains(f.text, test.want) {
			t.Errorf("the failure is\n%s\nwant\n%s", f.text, test.want)
		}
	}
}
