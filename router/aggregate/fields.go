package aggregate

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

// memberForm is the form of names that need no escaping in JSON, nor in a JSON
// Pointer.
var memberForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// field is a member of a message's body.
type field struct {
	name     string
	goName   string
	of       reflect.Type
	index    int
	required bool
	nullable bool   // the zero value is written as null, as a nil slice is
	plain    bool   // a plain value can be all that is written
	before   []byte // the text in front of the value, in a body as this binary writes it
}

// fieldsOf are the members of a message, in the order in which encoding/json
// writes the members.
func fieldsOf(t reflect.Type) ([]field, error) {
	var fields []field
	seen := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		folded := strings.ToLower(name) // encoding/json reads "ID" into a field "id"
		switch {
		case f.Anonymous:
			return nil, fmt.Errorf("field %s is embedded", f.Name)
		case !f.IsExported():
			return nil, fmt.Errorf("field %s is not exported: JSON would not have the field", f.Name)
		case name == "" || name == "-":
			return nil, fmt.Errorf("field %s has no json name", f.Name)
		case !memberForm.MatchString(name):
			return nil, fmt.Errorf("field %s: the json name must be a letter, then letters, digits, hyphens and underscores, and is %q", f.Name, name)
		case seen[folded]:
			return nil, fmt.Errorf("two fields have the json name %q", name)
		}
		seen[folded] = true
		optional := f.Type.Kind() == reflect.Pointer || strings.Contains(options, "omit")
		before := `,"` + name + `":`
		if i == 0 {
			before = `{"` + name + `":`
		}
		fields = append(fields, field{
			name: name, goName: f.Name, of: f.Type, index: i, required: !optional, nullable: zeroIsNull(f.Type),
			plain: options == "" && isPlain(f.Type), before: []byte(before),
		})
	}
	return fields, nil
}

// zeroIsNull says whether the zero value of a type is written as null.
func zeroIsNull(t reflect.Type) bool {
	defer func() { _ = recover() }() // a type that writes itself may have no zero value
	body, err := json.Marshal(reflect.Zero(t).Interface())
	return err == nil && string(body) == "null"
}

// isPlain says whether [setPlain] reads values of a type as encoding/json does.
func isPlain(t reflect.Type) bool {
	switch pointer := reflect.PointerTo(t); {
	case t.Kind() == reflect.Pointer:
		return false
	case pointer.Implements(reflect.TypeFor[json.Unmarshaler]()):
		return true
	case pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return false
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Int64, reflect.Bool:
		return true
	default:
		return false
	}
}

// idMember finds the member of a command that is the command's AggregateID: a
// value put into that member comes back as the id.
func idMember(create func() AnyCommand) string {
	const probe = "aggregate-id-probe"
	t := reflect.TypeOf(create()).Elem()
	for i := range t.NumField() {
		c := create()
		f := reflect.ValueOf(c).Elem().Field(i)
		want := "7"
		switch {
		case f.Kind() == reflect.String:
			f.SetString(probe)
			want = probe
		case f.CanInt():
			f.SetInt(7)
		case f.CanUint():
			f.SetUint(7)
		default:
			continue
		}
		if idOf(c) == want {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

func idOf(c AnyCommand) (id string) {
	defer func() { _ = recover() }() // an empty command may have nothing to make an id of
	return c.AggregateID()
}
