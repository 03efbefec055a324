package documents

import (
	"errors"

	"github.com/millrace/millrace/router/aggregate"
)

// Description is what the documents of a service are made of.
type Description struct {
	// Title and Version are those of the documents.
	Title, Version string
	Registry       *aggregate.Registry
	// Fragments are the paths of read models, each as YAML with three members,
	// all of them optional:
	//
	//	paths:       as in OpenAPI
	//	components:  as in OpenAPI, for the fragment's own names
	//	x-meanings:  the fragment's own problems in words, by slug
	//
	// An operation lists its problems by status in x-problems, as
	// {"404": [order-not-found, not-found]}. The words of a refusal of an
	// aggregate, and of a problem of the router, are known. The servers, the
	// security, the tags and the headers of problems (x-problem-headers) are
	// those of the read API unless the operation has others.
	//
	// A fragment may refer to all components of openapi.yaml, and to those of
	// an aggregate "order": parameters/OrderID, the id in a path; schemas/OrderID
	// and the like, for a Go type ID that has a method Schema.
	Fragments [][]byte
	// Refusals are those of the router, which any command may get.
	Refusals []*aggregate.Refusal
}

// Check says why a description makes no documents, in one line: a fragment is
// wrong, a name is there twice, or a Go type can't be described.
func Check(d Description) error {
	if _, err := openAPI(d, nil); err != nil {
		return err
	}
	_, err := asyncAPI(d)
	return err
}

func (d Description) info() (object, error) {
	if d.Title == "" || d.Version == "" {
		return nil, errors.New("the description has no title, or no version")
	}
	if d.Registry == nil {
		return nil, errors.New("the description has no registry")
	}
	return object{"title": d.Title, "version": d.Version}, nil
}
