package projections_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/projectiontest/orders"
)

func model(p *projections.Projection) projections.Model {
	return projections.Model{Projection: p, Routes: func(*mux.Router, *projections.Reader) {}}
}

func TestCheck(t *testing.T) {
	good := func() *projections.Projection {
		p := names(new(atomic.Bool))
		p.Of = []string{"order", "parcel"}
		return p
	}
	other := letters(new(atomic.Bool))
	if err := projections.Check([]projections.Model{model(good()), model(other)}, orders.Registry); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*projections.Model){
		`read model "letters" is there twice`:                                                    func(m *projections.Model) { m.Name = "letters" },
		`read model "history": the name is that of a read model of the router's own`:             func(m *projections.Model) { m.Name = "history" },
		`read model "commands": the name is that of a read model of the router's own`:            func(m *projections.Model) { m.Name = "commands" },
		`read model "order_names": the name must be a lower-case letter,`:                        func(m *projections.Model) { m.Name = "order_names" },
		`read model "": the name must be`:                                                        func(m *projections.Model) { m.Name = "" },
		`read model "names": no aggregate "planet" is registered, and Of names it`:               func(m *projections.Model) { m.Of = []string{"order", "planet"} },
		`read model "names": there are no tables`:                                                func(m *projections.Model) { m.Tables = nil },
		`read model "names": there is no Apply`:                                                  func(m *projections.Model) { m.Apply = nil },
		`read model "names": there are no Routes`:                                                func(m *projections.Model) { m.Routes = nil },
		`read model 2 of 2 has no projection`:                                                    func(m *projections.Model) { m.Projection = nil },
		`read model "names": table "Names": the name isn't lower snake_case`:                     func(m *projections.Model) { m.Tables[0].Name = "Names" },
		`read model "names": table "names": column "Id": the name isn't lower snake_case`:        func(m *projections.Model) { m.Tables[0].Columns[0].Name = "Id" },
		`read model "names": table "names": no column is a key`:                                  func(m *projections.Model) { m.Tables[0].Columns[0].Key = false },
		`read model "names": table "names": column "events": the columns of the key come first`:  func(m *projections.Model) { m.Tables[0].Columns[2].Key = true },
		`read model "names": table "names": an index is over column "colour", which isn't there`: func(m *projections.Model) { m.Tables[0].Indexes = [][]string{{"colour"}} },
		`read model "names": table "names" is there twice`:                                       func(m *projections.Model) { m.Tables = append(m.Tables, m.Tables[0]) },
		`read model "names": table "names": column "name": there is no type 9`:                   func(m *projections.Model) { m.Tables[0].Columns[1].Type = 9 },
	} {
		m := model(good())
		change(&m)
		err := projections.Check([]projections.Model{model(other), m}, orders.Registry)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A read model may look at no rows, and say so by no Keys.
func TestWithoutKeys(t *testing.T) {
	p := names(new(atomic.Bool))
	p.Keys = nil
	p.Apply = func(rows projections.Rows, e projections.Event) error {
		rows.Put("names", projections.Row{e.AggregateID, e.Type, int64(e.Version)})
		return nil
	}
	w, store := new(writer), memory(t)
	w.created("a", "x")
	w.write(messaging.TypeCommandRefused, order("b"), `{}`)
	m, _ := join(t, store, w, p)
	m.feed(w.records)
	m.Cleanup(m.claim)
	if got := rows(t, store, p); got["a"] != "orderPlaced 1" || got["b"] != "commandRefused 0" {
		t.Errorf("rows %v", got)
	}
}

func TestNotFound(t *testing.T) {
	got := projections.NotFound(orders.Aggregate)
	if got.Slug != "order-not-found" || got.Title != "Order not found" || got.Detail != "there is no such order" || got.Status != http.StatusNotFound {
		t.Errorf("%+v", got)
	}
}
