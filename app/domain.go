package main

import (
	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/projections/userstats"
	"github.com/millrace/millrace/router/aggregate"
)

// domain is all that this service is made of: the one file that lists it.
var domain = Domain{
	Aggregates: []*aggregate.Type{users.Aggregate},
	Models:     []projections.Model{userlist.Model, userstats.Model},
	Try: Try{
		Command: `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`,
		Query:   "/users",
	},
}
