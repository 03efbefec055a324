package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// FoldVersion is a text that is another one whenever the same events may make
// another state, or be read in another form: the SHA-256, in hexadecimal, of the
// name, the version, the event types, the upcasts and the state's fields.
func (t *Type) FoldVersion() string { return t.fold }

func (t *Type) foldVersion() string {
	var form strings.Builder
	fmt.Fprintf(&form, "%q %d %s", t.name, t.version, t.stateForm)
	if t.HasClaims() {
		form.WriteString(" claims") // the fold notes values that nobody has taken
	}
	for _, event := range slices.Sorted(maps.Keys(t.events)) {
		fmt.Fprintf(&form, " %q", event)
	}
	for _, from := range slices.Sorted(maps.Keys(t.upcasts)) {
		fmt.Fprintf(&form, " %q>%q", from, t.upcasts[from].To)
	}
	sum := sha256.Sum256([]byte(form.String()))
	return hex.EncodeToString(sum[:])
}

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
