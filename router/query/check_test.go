package query_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
)

func model(p *projection.Projection) query.Model {
	return query.Model{Projection: p, Routes: func(*mux.Router, *query.Reader) {}}
}

func TestCheck(t *testing.T) {
	good := func() *projection.Projection {
		p := names()
		p.Of = []string{"order", "parcel"}
		return p
	}
	other := names()
	other.Name, other.Tables[0].Name = "letters", "letters"
	if err := query.Check([]query.Model{model(good()), model(other)}, orders.Registry); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*query.Model){
		`read model "letters" is there twice`:                                                    func(m *query.Model) { m.Name = "letters" },
		`read model "history": the name is that of a read model of the router's own`:             func(m *query.Model) { m.Name = "history" },
		`read model "commands": the name is that of a read model of the router's own`:            func(m *query.Model) { m.Name = "commands" },
		`read model "order_names": the name must be a lower-case letter,`:                        func(m *query.Model) { m.Name = "order_names" },
		`read model "": the name must be`:                                                        func(m *query.Model) { m.Name = "" },
		`read model "names": no aggregate "planet" is registered, and Of names it`:               func(m *query.Model) { m.Of = []string{"order", "planet"} },
		`read model "names": there are no tables`:                                                func(m *query.Model) { m.Tables = nil },
		`read model "names": there is no Apply`:                                                  func(m *query.Model) { m.Apply = nil },
		`read model "names": there are no Routes`:                                                func(m *query.Model) { m.Routes = nil },
		`read model 2 of 2 has no projection`:                                                    func(m *query.Model) { m.Projection = nil },
		`read model "names": table "Names": the name isn't lower snake_case`:                     func(m *query.Model) { m.Tables[0].Name = "Names" },
		`read model "names": table "names": column "Id": the name isn't lower snake_case`:        func(m *query.Model) { m.Tables[0].Columns[0].Name = "Id" },
		`read model "names": table "names": no column is a key`:                                  func(m *query.Model) { m.Tables[0].Columns[0].Key = false },
		`read model "names": table "names": column "events": the columns of the key come first`:  func(m *query.Model) { m.Tables[0].Columns[2].Key = true },
		`read model "names": table "names": an index is over column "colour", which isn't there`: func(m *query.Model) { m.Tables[0].Indexes = [][]string{{"colour"}} },
		`read model "names": table "names" is there twice`:                                       func(m *query.Model) { m.Tables = append(m.Tables, m.Tables[0]) },
		`read model "names": table "names": column "name": there is no type 9`:                   func(m *query.Model) { m.Tables[0].Columns[1].Type = 9 },
	} {
		m := model(good())
		change(&m)
		err := query.Check([]query.Model{model(other), m}, orders.Registry)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestNotFound(t *testing.T) {
	got := query.NotFound(orders.Aggregate)
	if got.Slug != "order-not-found" || got.Title != "Order not found" || got.Detail != "there is no such order" || got.Status != http.StatusNotFound {
		t.Errorf("%+v", got)
	}
}
