// Package documents describes a service to machines: the HTTP interface as
// OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html), the topics as
// AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
//
// A document is made of four things: the machine's part in openapi.yaml and
// asyncapi.yaml; the registered aggregates with their commands, events and
// refusals; the fragments that read models bring; the router's own refusals.
//
//	description.go    what a service hands in: Description, Check
//	openapi.go        the OpenAPI document
//	asyncapi.go       the AsyncAPI document
//	fragment.go       the YAML that read models bring, checked and merged
//	family.go         an aggregate, with the names that it has in a document
//	template.go       the parts of a document that each aggregate has
//	schema.go         the JSON Schema of a Go type
//	names.go          the names of schemas
//	problems.go       the answers that are problems
//	example.go        examples, made from schemas
//	document.go       reading, cutting and writing a document
package documents
