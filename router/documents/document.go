package documents

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"unicode/utf16"

	"github.com/goccy/go-yaml"
)

//go:embed openapi.yaml asyncapi.yaml
var routerParts embed.FS

// object is a JSON object of a document.
type object = map[string]any

// load reads the router's part of a document.
func load(name string) object {
	text, err := routerParts.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of this program
	}
	doc := object{}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		panic(err) // likewise
	}
	return doc
}

// as is v as a T. Tests have checked the router's part, and Check the fragments,
// so another type is a panic.
func as[T any](v any) T {
	t, ok := v.(T)
	if !ok {
		panic(fmt.Sprintf("the document has %v, where a %T belongs", v, t))
	}
	return t
}

// in is the object below these members.
func in(of object, members ...string) object {
	for _, member := range members {
		of = as[object](of[member])
	}
	return of
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// encode writes a document in ASCII, so that any editor shows the characters of
// patterns.
func encode(doc object) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(doc); err != nil {
		return nil, fmt.Errorf("the document can't be written: %w", err)
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
	return []byte(ascii.String()), nil
}

// keepUsed removes the components without a reference in the rest of the
// document. A reference to a missing component is an error.
func keepUsed(doc object) error {
	used := map[string]bool{}
	var dangling error
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case object:
			if to, ok := v["$ref"].(string); ok && !used[to] {
				used[to] = true
				component := target(doc, to)
				if component == nil {
					dangling = fmt.Errorf("there is no %s, which the document refers to", to)
				}
				visit(component)
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
	for kind, of := range in(doc, "components") {
		if kind == "securitySchemes" {
			continue
		}
		maps.DeleteFunc(as[object](of), func(name string, _ any) bool {
			return !used["#/components/"+kind+"/"+name]
		})
	}
	return dangling
}

// target is the target of a reference, nil if missing.
func target(doc object, to string) any {
	path, ok := strings.CutPrefix(to, "#/")
	if !ok {
		return nil
	}
	var v any = doc
	for step := range strings.SplitSeq(path, "/") {
		of, _ := v.(object)
		v = of[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
	}
	return v
}
