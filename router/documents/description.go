package documents

import (
	"errors"

	"github.com/millrace/millrace/router/aggregate"
)

// Description is the input for the documents of a service.
type Description struct {
	// Title and Version stand in the documents.
	Title, Version string
	Registry       *aggregate.Registry
	// Fragments are the paths of read models, each as YAML with three optional
	// members:
	//
	//	paths:       as in OpenAPI
	//	components:  as in OpenAPI, for the fragment's own names
	//	x-meanings:  the fragment's own problems in words, by slug
	//
	// An operation lists the slugs of problems by status in x-problems, as
	// {"404": [order-not-found, not-found]}. The words for refusals of aggregates
	// and for problems of the router are known. Servers, security, tags and the
	// headers of problems (x-problem-headers) are the read API's, unless the
	// operation has others.
	//
	// A fragment may refer to all components of openapi.yaml, and to the
	// components of an aggregate "order": parameters/OrderID is the id in a path;
	// schemas/OrderID and the like describe Go types with a method Schema, such as
	// a type ID.
	Fragments [][]byte
	// Admin are the paths of the admin address, in the form of Fragments. Servers,
	// security, tags, and problems of every path are those of x-of-admin.
	Admin [][]byte
	// Refusals are the router's refusals, for commands of any type.
	Refusals []*aggregate.Refusal
}

// Check says why a description makes no documents, in one line: a fragment is
// wrong, two things have the same name, or a Go type can't be described.
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
