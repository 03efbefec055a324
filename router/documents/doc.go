// Package documents describes a service to machines: the HTTP interface as
// OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html), the topics as
// AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
//
// A document is made of four things: the router's part in openapi.yaml and
// asyncapi.yaml; the registered aggregates with commands, events and refusals; the
// fragments of read models; the router's refusals.
//
//	description.go    the input: Description, Check
//	openapi.go        the OpenAPI document
//	asyncapi.go       the AsyncAPI document
//	commands.go       the schemas of commands alone, for programs that write commands
//	fragment.go       the YAML of read models, checked and merged
//	family.go         an aggregate with its names in a document
//	template.go       parts of a document, made once for each aggregate
//	schema.go         the JSON Schema of a Go type
//	names.go          the names of schemas
//	problems.go       answers with problems
//	example.go        examples, made from schemas
//	document.go       reading, cutting and writing a document
package documents
