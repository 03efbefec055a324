// Package documents describes Millrace to machines: its HTTP interface as
// OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html), its topics as
// AsyncAPI 3.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0).
// What people write stands in openapi.yaml and asyncapi.yaml; commands, events
// and refusals come from the lists of the domain that the code runs on.
package documents

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml asyncapi.yaml
var written embed.FS

// load reads a document as people wrote it.
func load(name string) object {
	text, err := written.ReadFile(name)
	if err != nil {
		panic(err) // it is part of this program
	}
	doc := object{}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		panic(err) // likewise
	}
	return doc
}

// as is v, which is a T in every document that passes the tests.
func as[T any](v any) T {
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("the document has %v, where a %T belongs", v, t))
	}
	return t
}

// encode writes a document in ASCII, so that the characters of patterns can be
// seen in any editor.
func encode(doc object) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		panic(err) // it is made of maps, lists and texts
	}
	var ascii strings.Builder
	for _, r := range out.String() {
		if r < 0x7F {
			ascii.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&ascii, "\\u%04X", unit)
		}
	}
	return []byte(ascii.String())
}

// only keeps the components that the rest of the document refers to.
func only(doc object) {
	components := as[object](doc["components"])
	kept := map[string]bool{}
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case object:
			if to, ok := v["$ref"].(string); ok && !kept[to] {
				kept[to] = true
				visit(target(components, to))
			}
			for _, member := range v {
				visit(member)
			}
		case []any:
			for _, item := range v {
				visit(item)
			}
		}
	}
	for member, v := range doc {
		if member != "components" {
			visit(v)
		}
	}
	for kind, of := range components {
		if kind == "securitySchemes" {
			continue
		}
		for name := range as[object](of) {
			if !kept["#/components/"+kind+"/"+name] {
				delete(as[object](of), name)
			}
		}
	}
}

// target is the component that a reference means.
func target(components object, to string) any {
	kind, name, _ := strings.Cut(strings.TrimPrefix(to, "#/components/"), "/")
	of, _ := components[kind].(object)
	return of[name]
}
