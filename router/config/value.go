package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value describes the values of a key. The text of a value is parsed alike from
// every source.
type value struct {
	typ     string                   // string, boolean, integer, number, duration or list
	empty   bool                     // the list may be empty
	allowed string                   // completes "kafka.partitions: ..."
	parse   func(string) (any, bool) // a value, or an item of a list
}

// valueOf reads the tags of a field of Config.
func valueOf(sf reflect.StructField) value {
	item, list := sf.Type, sf.Type.Kind() == reflect.Slice
	if list {
		item = sf.Type.Elem()
	}
	var v value
	switch {
	case item == reflect.TypeFor[time.Duration]():
		v = durationIn(sf.Tag.Get("range"))
	case item.Kind() == reflect.Int:
		v = integerIn(sf.Tag.Get("range"))
	case item.Kind() == reflect.Float64:
		v = numberIn(sf.Tag.Get("range"))
	case item.Kind() == reflect.Bool:
		v = boolean()
	case sf.Tag.Get("oneof") != "":
		v = oneOf(strings.Split(sf.Tag.Get("oneof"), "|"))
	default:
		v = stringThat(sf.Tag.Get("is"))
	}
	if list {
		v.typ = "list"
		v.empty = sf.Tag.Get("empty") != ""
		if v.empty {
			v.allowed = "must be a list, none twice, where each " + v.allowed
		} else {
			v.allowed = "must be a list of one or more, none twice, where each " + v.allowed
		}
	}
	return v
}

var decimal = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)

func boolean() value {
	return value{typ: "boolean", allowed: "must be true or false", parse: func(s string) (any, bool) {
		return s == "true", s == "true" || s == "false"
	}}
}

// integerIn takes the canonical form only: the meaning of 010 differs between
// versions of YAML.
func integerIn(within string) value {
	low, high := bounds(within, strconv.Atoi)
	return value{typ: "integer", allowed: fmt.Sprintf("must be an integer from %d to %d", low, high), parse: func(s string) (any, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && strconv.Itoa(n) == s && low <= n && n <= high
	}}
}

// numberIn takes plain decimals: no exponent, no NaN.
func numberIn(within string) value {
	parse := func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }
	low, high := bounds(within, parse)
	return value{typ: "number", allowed: fmt.Sprintf("must be a number from %g to %g", low, high), parse: func(s string) (any, bool) {
		n, err := parse(s)
		return n, err == nil && decimal.MatchString(s) && low <= n && n <= high
	}}
}

func durationIn(within string) value {
	low, high := bounds(within, time.ParseDuration)
	allowed := "must be a duration such as 5s or 100ms, from " + strings.Replace(within, "..", " to ", 1)
	return value{typ: "duration", allowed: allowed, parse: func(s string) (any, bool) {
		d, err := time.ParseDuration(s)
		return d, err == nil && low <= d && d <= high
	}}
}

func oneOf(names []string) value {
	return value{typ: "string", allowed: "must be one of " + strings.Join(names, ", "), parse: func(s string) (any, bool) {
		return s, slices.Contains(names, s)
	}}
}

func stringThat(is string) value {
	f, ok := formats[is]
	if !ok {
		panic(fmt.Sprintf("config: no format %q", is))
	}
	return value{typ: "string", allowed: f.allowed, parse: func(s string) (any, bool) { return f.parse(s) }}
}

// bounds reads a range tag such as 1..100.
func bounds[T any](within string, parse func(string) (T, error)) (low, high T) {
	from, to, _ := strings.Cut(within, "..")
	low, err := parse(from)
	if err == nil {
		high, err = parse(to)
	}
	if err != nil {
		panic(fmt.Sprintf("config: range tag %q: %v", within, err))
	}
	return low, high
}
