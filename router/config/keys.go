package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// envPrefix starts the name of every environment variable of Millrace.
const envPrefix = "MILLRACE_"

// Key documents a key.
type Key struct {
	Name        string // dotted: kafka.partitions
	Type        string // string, boolean, integer, duration or list
	Default     string // as text; the items of a list are joined by commas
	Description string
	Secret      bool   // never shown; can be given in a file by the key Name_file
	Environment string // the environment variable for the key
}

// field is a key with the place of its value in Config.
type field struct {
	Key
	index []int
	value value
}

// fields are all keys, in the order of Config.
var fields = fieldsOf(reflect.TypeFor[Config](), "", nil)

// Keys lists all keys, in the order of config/all.yaml.
func Keys() []Key {
	keys := make([]Key, len(fields))
	for i, f := range fields {
		keys[i] = f.Key
	}
	return keys
}

func fieldsOf(group reflect.Type, prefix string, index []int) []field {
	defaults := reflect.ValueOf(Default())
	var all []field
	for i := range group.NumField() {
		sf := group.Field(i)
		name := prefix + sf.Tag.Get("yaml")
		at := append(slices.Clone(index), i)
		if sf.Type.Kind() == reflect.Struct {
			all = append(all, fieldsOf(sf.Type, name+".", at)...)
			continue
		}
		v := valueOf(sf)
		all = append(all, field{index: at, value: v, Key: Key{
			Name:        name,
			Type:        v.typ,
			Default:     text(defaults.FieldByIndex(at)),
			Description: sf.Tag.Get("help"),
			Secret:      sf.Type == reflect.TypeFor[Secret]() || sf.Type == reflect.TypeFor[[]Secret](),
			Environment: envPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "_")),
		}})
	}
	return all
}

// of is the field's value in a Config. The value can be set.
func (f field) of(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(f.index)
}

// shown is a wrong value of the key, for a Problem.
func (f field) shown(text string) string {
	if f.Secret {
		return masked
	}
	return quoted(text)
}

// fieldNamed finds a key by its dotted name.
func fieldNamed(name string) (field, bool) {
	for _, f := range fields {
		if f.Name == name {
			return f, true
		}
	}
	return field{}, false
}

// names are the names of all keys, and of all environment variables, in the same
// order.
func names() (keys, variables []string) {
	for _, f := range fields {
		keys = append(keys, f.Name)
		variables = append(variables, f.Environment)
	}
	return keys, variables
}

// groups are the mappings of keys, such as kafka and store.postgres.
func groups() []string {
	var all []string
	for _, f := range fields {
		for i, c := range f.Name {
			if c == '.' && !slices.Contains(all, f.Name[:i]) {
				all = append(all, f.Name[:i])
			}
		}
	}
	return all
}

// Masked is the configuration as YAML, every key, secrets as ***.
func (c Config) Masked() string {
	out, err := yaml.MarshalWithOptions(c, yaml.IndentSequence(true))
	if err != nil {
		panic(err) // strings, numbers and lists of both can be written
	}
	return string(out)
}

// text is a value in the form of the environment and of flags. Secrets are
// masked.
func text(v reflect.Value) string {
	if v.Kind() != reflect.Slice {
		return fmt.Sprint(v.Interface())
	}
	items := make([]string, v.Len())
	for i := range items {
		items[i] = fmt.Sprint(v.Index(i).Interface())
	}
	return strings.Join(items, ",")
}
