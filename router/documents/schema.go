package documents

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
)

// describer makes the JSON Schemas of the messages of an aggregate.
type describer struct {
	title   string // of the aggregate
	schemas object // all components
	names   names
	done    map[structType]string // the components of Go types
	// fromClient is set for a message that clients write: the schema is strict. A
	// message of this program may get more members in a later release, and has null
	// for a nil of Go.
	fromClient bool
	// inside are the types around the type at hand.
	inside []reflect.Type
	// id is the member with the aggregate's id, "" for none.
	id string
}

// structType is a Go type with a component. A struct in a message of clients has
// another component than the same struct in a message of this program.
type structType struct {
	of         reflect.Type
	fromClient bool
}

// message describes a command or an event. Other schemas get the message's name
// with these endings.
func (d *describer) message(wire string, v any, shared map[string]bool, endings ...string) (message, error) {
	t := reflect.TypeOf(v).Elem()
	base := baseName(t)
	if shared[base] {
		base = withTitle(d.title, base)
	}
	name := d.names.claim(d.title, base, endings...)
	schema, err := d.object(t, false)
	d.schemas[name] = schema
	return message{wire: wire, schema: name}, err
}

// object describes a struct. A member is required unless its field is a
// pointer, or may be omitted.
func (d *describer) object(t reflect.Type, nested bool) (object, error) {
	properties, required := object{}, []any{}
	for i := range t.NumField() {
		f := t.Field(i)
		member, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && member == "":
			return nil, fmt.Errorf("field %s is embedded, and has no json name", f.Name)
		case !f.IsExported() || f.Tag.Get("json") == "-":
			continue
		case member == "":
			member = f.Name
		}
		schema, err := d.member(f.Type, options, nested)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		if !nested && member == d.id && f.Type.Kind() == reflect.String && schema["$ref"] == nil {
			schema = anyID()
		}
		properties[member] = schema
		if f.Type.Kind() != reflect.Pointer && !strings.Contains(options, "omit") {
			required = append(required, member)
		}
	}
	schema := object{"type": "object", "properties": properties, "required": required}
	if d.fromClient {
		schema["additionalProperties"] = false
	}
	return schema, nil
}

// member describes a field with these options of its json tag.
func (d *describer) member(t reflect.Type, options string, nested bool) (object, error) {
	omitted := strings.Contains(options, "omit")
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		schema, err := d.value(t)
		if err != nil || omitted || d.fromClient {
			return schema, err
		}
		return orNull(schema), nil
	}
	if strings.Contains(options, "string") && reflect.Bool <= t.Kind() && t.Kind() <= reflect.Float64 {
		return object{"type": "string"}, nil // a number or a bool in quotes
	}
	if nested && !omitted {
		return d.item(t)
	}
	return d.value(t)
}

// item describes a value inside another one. Such a value can be nil.
func (d *describer) item(t reflect.Type) (object, error) {
	canBeNil := t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	schema, err := d.value(t)
	if err != nil || d.fromClient || !canBeNil {
		return schema, err
	}
	return orNull(schema), nil
}

func orNull(schema object) object {
	return object{"anyOf": []any{schema, object{"type": "null"}}}
}

// value describes a Go type in JSON.
func (d *describer) value(t reflect.Type) (object, error) {
	pointer := reflect.New(t).Interface()
	if own, ok := pointer.(interface{ Schema() map[string]any }); ok {
		return d.ownSchema(t, own.Schema())
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}, nil
	case reflect.TypeFor[json.RawMessage](), reflect.TypeFor[any]():
		return object{"description": "Any JSON."}, nil
	}
	_, reads := pointer.(json.Unmarshaler)
	_, writes := pointer.(json.Marshaler)
	_, readsText := pointer.(encoding.TextUnmarshaler)
	_, writesText := pointer.(encoding.TextMarshaler)
	switch {
	case reads || writes:
		return nil, cantBeDescribed(t)
	case readsText || writesText:
		return object{"type": "string"}, nil
	}
	return d.kind(t)
}

// kind describes a type without methods for JSON, by the kind.
func (d *describer) kind(t reflect.Type) (object, error) {
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}, nil
	case reflect.Bool:
		return object{"type": "boolean"}, nil
	case reflect.Float32:
		return object{"type": "number", "format": "float", "minimum": -math.MaxFloat32, "maximum": math.MaxFloat32}, nil
	case reflect.Float64:
		return object{"type": "number", "format": "double", "minimum": -math.MaxFloat64, "maximum": math.MaxFloat64}, nil
	case reflect.Slice, reflect.Array, reflect.Map:
		return d.many(t)
	case reflect.Struct:
		return d.structValue(t)
	default:
		if schema := integer(t.Kind()); schema != nil {
			return schema, nil
		}
		return nil, cantBeDescribed(t)
	}
}

// base64Form is a pattern, for validators do not look at contentEncoding.
const base64Form = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

// many describes a slice, an array or a map.
func (d *describer) many(t reflect.Type) (object, error) {
	bytes := t.Kind() != reflect.Map && t.Elem().Kind() == reflect.Uint8
	switch {
	case bytes && t.Kind() == reflect.Slice:
		return object{"type": "string", "contentEncoding": "base64", "pattern": base64Form}, nil
	case bytes, // JSON libraries do not agree on arrays of bytes
		t.Kind() == reflect.Map && t.Key().Kind() != reflect.String,
		slices.Contains(d.inside, t): // a recursive type
		return nil, cantBeDescribed(t)
	}
	d.inside = append(d.inside, t)
	items, err := d.item(t.Elem())
	d.inside = d.inside[:len(d.inside)-1]
	switch t.Kind() {
	case reflect.Map:
		return object{"type": "object", "additionalProperties": items}, err
	case reflect.Array:
		return object{"type": "array", "items": items, "minItems": t.Len(), "maxItems": t.Len()}, err
	default:
		return object{"type": "array", "items": items}, err
	}
}

func cantBeDescribed(t reflect.Type) error {
	return fmt.Errorf("type %s can't be described: the type needs a method Schema() map[string]any", t)
}

// integer describes a kind of integers, nil for another kind.
func integer(kind reflect.Kind) object {
	schema := func(minimum int64, maximum uint64) object {
		return object{"type": "integer", "minimum": minimum, "maximum": maximum}
	}
	switch kind {
	case reflect.Int8:
		return schema(math.MinInt8, math.MaxInt8)
	case reflect.Int16:
		return schema(math.MinInt16, math.MaxInt16)
	case reflect.Int32:
		return schema(math.MinInt32, math.MaxInt32)
	case reflect.Int, reflect.Int64:
		return schema(math.MinInt64, math.MaxInt64)
	case reflect.Uint8:
		return schema(0, math.MaxUint8)
	case reflect.Uint16:
		return schema(0, math.MaxUint16)
	case reflect.Uint32:
		return schema(0, math.MaxUint32)
	case reflect.Uint, reflect.Uint64:
		return schema(0, math.MaxUint64)
	default:
		return nil
	}
}

// ownSchema makes a component of the schema that a type's method Schema returns.
func (d *describer) ownSchema(t reflect.Type, schema map[string]any) (object, error) {
	key := structType{of: t}
	if name, ok := d.done[key]; ok {
		return ref(name), nil
	}
	text, err := json.Marshal(schema)
	if err != nil {
		return nil, fmt.Errorf("type %s: its schema: %w", t, err)
	}
	own := object{}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&own); err != nil {
		return nil, fmt.Errorf("type %s: its schema: %w", t, err)
	}
	if own == nil {
		return nil, fmt.Errorf("type %s: method Schema returns nil", t)
	}
	name := d.names.claim(d.title, withTitle(d.title, baseName(t)))
	d.done[key], d.schemas[name] = name, own
	return ref(name), nil
}

// structValue makes a component of a struct with a name.
func (d *describer) structValue(t reflect.Type) (object, error) {
	if t.Name() == "" {
		return d.object(t, true)
	}
	key := structType{t, d.fromClient}
	if name, ok := d.done[key]; ok {
		return ref(name), nil
	}
	base := withTitle(d.title, baseName(t))
	if d.fromClient {
		base += "Input"
	}
	name := d.names.claim(d.title, base)
	d.done[key] = name // before the fields: a struct may contain itself
	schema, err := d.object(t, true)
	d.schemas[name] = schema
	return ref(name), err
}
