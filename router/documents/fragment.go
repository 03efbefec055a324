package documents

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
)

// fragment is the part of a read model, in YAML.
type fragment struct {
	Paths      map[string]object `yaml:"paths"`
	Components map[string]object `yaml:"components"`
	Meanings   map[string]string `yaml:"x-meanings"`
}

// methods are the members of a path with operations.
var methods = []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"}

var (
	componentKinds = []string{"examples", "headers", "parameters", "requestBodies", "responses", "schemas"}
	componentName  = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	slugForm       = regexp.MustCompile(`^[a-z][A-Za-z0-9-]*$`)
)

// readFragment reads a fragment, and checks the members that this package reads.
// All other members go into the document unchanged.
func readFragment(text []byte) (*fragment, error) {
	f := new(fragment)
	if err := yaml.UnmarshalWithOptions(text, f, yaml.DisallowUnknownField()); err != nil {
		return nil, fmt.Errorf("the YAML is wrong: %s", oneLine(err))
	}
	for kind, of := range f.Components {
		if !slices.Contains(componentKinds, kind) {
			return nil, fmt.Errorf("components/%s is not known; known are %s", kind, strings.Join(componentKinds, ", "))
		}
		for name, component := range of {
			if !isObject(component) || !componentName.MatchString(name) {
				return nil, fmt.Errorf("components/%s/%s is not an object, or the name has other characters than letters, digits and . _ -", kind, name)
			}
		}
	}
	for path, item := range f.Paths {
		if !strings.HasPrefix(path, "/") {
			return nil, fmt.Errorf("path %q does not begin with a slash", path)
		}
		if err := checkPath(item); err != nil {
			return nil, fmt.Errorf("path %s: %w", path, err)
		}
	}
	return f, nil
}

func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return text
}

func checkPath(item object) error {
	some := false
	for _, method := range methods {
		v, ok := item[method]
		if !ok {
			continue
		}
		some = true
		operation, ok := v.(object)
		if !ok {
			return fmt.Errorf("%s is not an object", method)
		}
		if err := checkOperation(operation); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
	}
	if !some {
		return errors.New("there is no operation")
	}
	return nil
}

// checkOperation checks the members that this package reads later.
func checkOperation(operation object) error {
	if _, ok := operation["operationId"].(string); !ok {
		return errors.New("operationId is missing, or not a text")
	}
	responses, ok := operation["responses"].(object)
	if !ok {
		return errors.New("responses is missing, or not an object")
	}
	for status, response := range responses {
		if !isObject(response) {
			return fmt.Errorf("responses: %s is not an object", status)
		}
	}
	if v, ok := operation["x-problem-headers"]; ok && !isObject(v) {
		return errors.New("x-problem-headers is not an object")
	}
	if v, ok := operation["x-everywhere"]; ok && !areTexts(v) {
		return errors.New("x-everywhere is not a list of texts")
	}
	if _, ok := operation["x-refusals"]; ok {
		return errors.New("x-refusals is for commands")
	}
	v, ok := operation["x-problems"]
	if !ok {
		return nil
	}
	byStatus, ok := v.(object)
	if !ok {
		return errors.New("x-problems is not an object")
	}
	for status, slugs := range byStatus {
		if code, err := strconv.Atoi(status); err != nil || code < 400 || code > 599 {
			return fmt.Errorf("x-problems: %q is not the status of a problem", status)
		}
		if !areTexts(slugs) {
			return fmt.Errorf("x-problems: %s is not a list of texts", status)
		}
	}
	return nil
}

func isObject(v any) bool {
	_, ok := v.(object)
	return ok
}

func areTexts(v any) bool {
	list, ok := v.([]any)
	for _, item := range list {
		_, text := item.(string)
		ok = ok && text
	}
	return ok
}

// mergeFragments adds the fragments to a document. The member defaults of the
// document has the defaults for operations. The words for a fragment's own
// problems are for operations of the fragment only.
func mergeFragments(doc object, defaults string, texts [][]byte, words *meanings) error {
	unless := as[object](doc[defaults])
	delete(doc, defaults)
	for i, text := range texts {
		f, err := readFragment(text)
		if err == nil {
			err = f.merge(doc, unless, words)
		}
		if err != nil {
			return fmt.Errorf("fragment %d: %w", i+1, err)
		}
	}
	return checkPaths(in(doc, "paths"))
}

// merge adds a fragment to a document.
func (f *fragment) merge(doc, unless object, words *meanings) error {
	for slug := range f.Meanings {
		if !slugForm.MatchString(slug) {
			return fmt.Errorf("x-meanings: %q is no slug of a problem", slug)
		}
	}
	for kind, of := range f.Components {
		if _, ok := in(doc, "components")[kind]; !ok {
			in(doc, "components")[kind] = object{}
		}
		if err := mergeInto(in(doc, "components", kind), of, "components/"+kind+"/"); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(f.Paths)) {
		item := f.Paths[path]
		for member, v := range unless {
			if member == "servers" {
				addMissing(item, member, v)
			}
		}
		for _, method := range methods {
			operation, ok := item[method].(object)
			if !ok {
				continue
			}
			addDefaults(operation, unless)
			if err := words.addProblems(operation, f.Meanings); err != nil {
				return fmt.Errorf("path %s: %s: %w", path, method, err)
			}
		}
	}
	paths := object{}
	for path, item := range f.Paths {
		paths[path] = item
	}
	return mergeInto(in(doc, "paths"), paths, "path ")
}

// addDefaults adds the defaults to an operation. Problems are added to problems
// that are there.
func addDefaults(operation, defaults object) {
	for member, v := range defaults {
		switch member {
		case "servers":
		case "x-problems":
			all := object{}
			for _, problems := range []any{v, operation[member]} {
				byStatus, _ := problems.(object)
				for status, slugs := range byStatus {
					list, _ := all[status].([]any)
					all[status] = append(slices.Clone(list), as[[]any](slugs)...)
				}
			}
			operation[member] = all
		case "x-headers":
			for _, response := range in(operation, "responses") {
				of := as[object](response)
				if _, ok := of["headers"].(object); !ok {
					of["headers"] = object{}
				}
				for name, header := range as[object](v) {
					addMissing(in(of, "headers"), name, header)
				}
			}
		default:
			addMissing(operation, member, v)
		}
	}
}

func addMissing(of object, member string, v any) {
	if _, ok := of[member]; !ok {
		of[member] = v
	}
}

func mergeInto(all, more object, what string) error {
	for _, name := range slices.Sorted(maps.Keys(more)) {
		if _, twice := all[name]; twice {
			return fmt.Errorf("%s%s is there twice", what, name)
		}
		all[name] = more[name]
	}
	return nil
}

var parameter = regexp.MustCompile(`\{[^}]*\}`)

// checkPaths refuses paths that differ in the names of parameters only, and two
// operations with the same id.
func checkPaths(paths object) error {
	forms, ids := map[string]string{}, map[string]string{}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		form := parameter.ReplaceAllString(path, "{}")
		if other, twice := forms[form]; twice {
			return fmt.Errorf("paths %s and %s are the same", other, path)
		}
		forms[form] = path
		for _, method := range methods {
			operation, ok := in(paths, path)[method].(object)
			if !ok {
				continue
			}
			id := as[string](operation["operationId"])
			if other, twice := ids[id]; twice {
				return fmt.Errorf("operationId %s is that of %s and of %s", id, other, path)
			}
			ids[id] = path
		}
	}
	return nil
}
