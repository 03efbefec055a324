package main

import (
	"example.com/hello/handlers/lists"
	"example.com/hello/projections/listview"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/service"
)

// domain is everything that this service is made of.
var domain = service.Domain{
	Title:      "Hello",
	Aggregates: []*aggregate.Type{lists.Aggregate},
	Models:     []query.Model{listview.Model},
}
