package aggregate

import (
	"reflect"
	"slices"
	"strings"
)

// formOf describes how values of a type are written as JSON: another form makes
// stored states useless.
func formOf(t reflect.Type, above []reflect.Type) string {
	if slices.Contains(above, t) {
		return t.String()
	}
	above = append(above, t)
	switch t.Kind() {
	case reflect.Struct:
		var form strings.Builder
		form.WriteByte('{')
		for i := range t.NumField() {
			f := t.Field(i)
			if f.IsExported() {
				form.WriteString(f.Name + " " + f.Tag.Get("json") + " " + formOf(f.Type, above) + ";")
			}
		}
		return form.String() + "}"
	case reflect.Pointer:
		return "*" + formOf(t.Elem(), above)
	case reflect.Slice, reflect.Array:
		return "[]" + formOf(t.Elem(), above)
	case reflect.Map:
		return "map[" + formOf(t.Key(), above) + "]" + formOf(t.Elem(), above)
	default:
		return t.Kind().String()
	}
}
