package main

import (
	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"example.com/bank/projections/balances"
	"example.com/bank/projections/statements"
	"example.com/bank/projections/transferlist"
	"example.com/bank/reactions/transferring"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/router/service"
)

// domain is everything that this service is made of.
var domain = service.Domain{
	Title:      "Bank",
	Aggregates: []*aggregate.Type{accounts.Aggregate, transfers.Aggregate},
	Models:     []query.Model{balances.Model, statements.Model, transferlist.Model},
	Reactions:  []*reaction.Reaction{transferring.Reaction},
	Try: service.Try{
		Command: `{"type":"openAccount","payload":{"id":"alice","number":"DE02 1203 0000"}}`,
		Query:   "/accounts",
	},
}
