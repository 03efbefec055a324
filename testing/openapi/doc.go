// Package openapi holds documents and answers against each other: the documents
// are OpenAPI, and a running service answers as its own documents say.
//
// The package is a module of its own, because the validator of OpenAPI brings
// many modules along: a module that imports Millrace doesn't get them.
package openapi
