package aggregate

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// lost says what part of a type JSON does not keep, nil for none. Above are the
// types around t.
func lost(t reflect.Type, above []reflect.Type) error {
	if slices.Contains(above, t) {
		return nil
	}
	above = append(above, t)
	switch {
	case writesItself(t):
		return lostByItself(t)
	case writesItself(reflect.PointerTo(t)):
		return fmt.Errorf("%s writes itself only behind a pointer", t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return lostFields(t, above)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return lost(t.Elem(), above)
	case reflect.Map:
		switch kind := t.Key().Kind(); {
		case kind == reflect.String, reflect.Int <= kind && kind <= reflect.Uintptr, writesItself(t.Key()):
			return lost(t.Elem(), above)
		}
		return fmt.Errorf("%s has keys that JSON does not have", t)
	case reflect.Func, reflect.Chan, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("JSON has no %s", t.Kind())
	case reflect.Interface:
		return errors.New("an interface is not read back as the type that was written")
	}
	return nil
}

func lostFields(t reflect.Type, above []reflect.Type) error {
	seen := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" {
			name = f.Name
		}
		switch folded := strings.ToLower(name); {
		case f.Anonymous:
			return fmt.Errorf("field %s is embedded", f.Name)
		case !f.IsExported():
			return fmt.Errorf("field %s is not exported: JSON would not have the field", f.Name)
		case f.Tag.Get("json") == "-":
			return fmt.Errorf("field %s has the json name -: JSON would not have the field", f.Name)
		case seen[folded]:
			return fmt.Errorf("two fields have the json name %q", name)
		default:
			seen[folded] = true
		}
		if err := lost(f.Type, above); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return nil
}

// lostByItself says why a type that writes itself is not read back.
func lostByItself(t reflect.Type) error {
	reader := t
	if t.Kind() != reflect.Pointer {
		reader = reflect.PointerTo(t)
	}
	if !reader.Implements(reflect.TypeFor[json.Unmarshaler]()) && !reader.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return fmt.Errorf("%s writes itself, and does not read itself", t)
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		// Go gives the outer struct the method of the embedded one, and the other
		// fields are lost.
		if f := t.Field(i); f.Anonymous && writesItself(f.Type) {
			return fmt.Errorf("field %s is embedded", f.Name)
		}
	}
	return nil
}

func writesItself(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}
