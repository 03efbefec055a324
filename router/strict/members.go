package strict

import (
	"cmp"
	stdjson "encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// form is the form in which a value is read.
type form uint8

const (
	sent    form = iota // as clients send values
	written             // … or as the router writes values: with null for a pointer without a value, and the option "string"
)

// Into reads the members into the fields of a struct, by their json tags, and
// returns all errors: members that are missing (unless the field is a pointer
// or has omitempty), unknown members, and values that the field's type refuses.
// Pointers begin with at.
func (o Object) Into(at string, into any) []FieldError {
	return sent.members(o, jsontext.Pointer(at), into)
}

func (f form) members(given []member, at jsontext.Pointer, into any) (wrong []FieldError) {
	add := func(member, detail string) {
		wrong = append(wrong, FieldError{Pointer: string(at.AppendToken(member)), Detail: detail})
	}
	fields := reflect.ValueOf(into).Elem()
	known := make([]string, fields.NumField())
	for i := range known {
		var options string
		known[i], options, _ = strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
		known[i] = cmp.Or(known[i], fields.Type().Field(i).Name)
		n := slices.IndexFunc(given, func(m member) bool { return m.name == known[i] })
		optional := fields.Field(i).Kind() == reflect.Pointer || strings.Contains(options, "omit")
		switch {
		case n < 0 && !optional:
			add(known[i], "is required")
		case n < 0, f == written && fields.Field(i).Kind() == reflect.Pointer && given[n].value.Kind() == 'n':
			continue
		default:
			value := given[n].value
			if f == written && options != "" && slices.Contains(strings.Split(options, ","), "string") {
				value = unquoted(value)
			}
			wrong = append(wrong, f.member(value, at, known[i], fields.Field(i))...)
		}
	}
	var unknown []string
	for _, m := range given {
		if !slices.Contains(known, m.name) {
			unknown = append(unknown, m.name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		add(name, "is not known; known are "+strings.Join(known, ", "))
	}
	return wrong
}

// unquoted is the value within a string, or else the value itself.
func unquoted(value jsontext.Value) jsontext.Value {
	if inner, err := jsontext.AppendUnquote(nil, value); err == nil && jsontext.Value(inner).IsValid() {
		return inner
	}
	return value
}

// member reads the value of a member or an item of the value at a pointer. A type
// that reads itself says in its own words which values the type takes.
func (f form) member(value jsontext.Value, of jsontext.Pointer, name string, field reflect.Value) []FieldError {
	refuse := func(detail string) []FieldError {
		return []FieldError{{Pointer: string(of.AppendToken(name)), Detail: detail}}
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	into := field.Addr().Interface()
	if own, ok := into.(json.Unmarshaler); ok {
		switch err := own.UnmarshalJSON(value); {
		case err != nil:
			return refuse(err.Error())
		case value.Kind() == 'n' && field.Type() != anyJSON:
			return refuse("must not be null")
		}
		return nil
	}
	switch field.Kind() {
	case reflect.Struct:
		members, ok := membersOf(value)
		if !ok {
			return refuse("must be an object")
		}
		return f.members(members, of.AppendToken(name), into)
	case reflect.Slice:
		if field.Type().Elem().Kind() != reflect.Uint8 { // bytes are a base64 text
			return f.items(value, of.AppendToken(name), field)
		}
	}
	if value.Kind() != 'n' && json.Unmarshal(value, into, asWritten) == nil {
		return nil
	}
	switch field.Kind() {
	case reflect.String, reflect.Slice:
		return refuse("must be a string")
	case reflect.Bool:
		return refuse("must be true or false")
	case reflect.Array:
		return refuse("must be an array")
	case reflect.Map:
		return refuse("must be an object")
	default:
		return refuse("must be a number that fits here")
	}
}

// asWritten reads values strictly, in the form in which encoding/json writes
// values.
var asWritten = json.JoinOptions(json.RejectUnknownMembers(true), jsonv1.FormatDurationAsNano(true), jsonv1.FormatByteArrayAsArray(true))

// anyJSON is the type of a field that takes any value unchanged, null too.
var anyJSON = reflect.TypeFor[stdjson.RawMessage]()

// items reads an array, item by item.
func (f form) items(value jsontext.Value, at jsontext.Pointer, field reflect.Value) (wrong []FieldError) {
	var items []jsontext.Value
	if value.Kind() != '[' || json.Unmarshal(value, &items) != nil {
		return []FieldError{{Pointer: string(at), Detail: "must be an array"}}
	}
	field.Set(reflect.MakeSlice(field.Type(), len(items), len(items)))
	for i, item := range items {
		wrong = append(wrong, f.member(item, at, strconv.Itoa(i), field.Index(i))...)
	}
	return wrong
}
