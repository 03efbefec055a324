package console

import (
	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/projections/userstats"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/service"
)

// domain is everything in the shipped service.
var domain = service.Domain{
	Aggregates: []*aggregate.Type{users.Aggregate},
	Models:     []query.Model{userlist.Model, userstats.Model},
	Try: service.Try{
		Command: `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`,
		Query:   "/users",
	},
}
