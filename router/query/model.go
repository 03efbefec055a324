package query

import (
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/projection"
)

// Model is a read model with queries. A service lists its read models as Models.
type Model struct {
	*projection.Projection
	// Routes adds the routes of the queries to the read API.
	Routes func(*mux.Router, *Reader)
	// OpenAPI describes the queries: paths and components of OpenAPI 3.1, in
	// YAML; nil if the queries have no description.
	OpenAPI []byte
}
