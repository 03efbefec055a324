package query

import (
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/projection"
)

// Model is a read model with its queries: the one thing to list for a service
// to keep a read model, and to answer from it.
type Model struct {
	*projection.Projection
	// Routes adds the queries to the read API.
	Routes func(*mux.Router, *Reader)
	// OpenAPI describes the queries: paths and components of OpenAPI 3.1, in
	// YAML. Nil for none.
	OpenAPI []byte
}
