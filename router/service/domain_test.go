package service

import (
	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/projections/userstats"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
)

// domain is everything in the shipped service.
var domain = Domain{
	Aggregates: []*aggregate.Type{users.Aggregate},
	Models:     []query.Model{userlist.Model, userstats.Model},
	Try: Try{
		Command: `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`,
		Query:   "/users",
	},
}
