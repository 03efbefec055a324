package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// value is what one key may hold. It reads text, the same from every source.
type value struct {
	typ     string                   // string, boolean, integer, duration or list
	allowed string                   // completes "kafka.partitions: ..."
	parse   func(string) (any, bool) // one value, or one item of a list
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
	case item.Kind() == reflect.Bool:
		v = boolean()
	case sf.Tag.Get("oneof") != "":
		v = oneOf(strings.Split(sf.Tag.Get("oneof"), "|"))
	default:
		v = stringThat(sf.Tag.Get("is"))
	}
	if list {
		v.typ = "list"
		v.allowed = "must be a list of one or more, none twice, where each " + v.allowed
	}
	return v
}

func boolean() value {
	return value{"boolean", "must be true or false", func(s string) (any, bool) {
		return s == "true", s == "true" || s == "false"
	}}
}

// integerIn takes the canonical form only: what 010 means differs between
// versions of YAML.
func integerIn(within string) value {
	low, high := bounds(within, strconv.Atoi)
	return value{"integer", fmt.Sprintf("must be an integer from %d to %d", low, high), func(s string) (any, bool) {
		n, err := strconv.Atoi(s)
		return n, err == nil && strconv.Itoa(n) == s && low <= n && n <= high
	}}
}

func durationIn(within string) value {
	low, high := bounds(within, time.ParseDuration)
	allowed := "must be a duration such as 5s or 100ms, from " + strings.Replace(within, "..", " to ", 1)
	return value{"duration", allowed, func(s string) (any, bool) {
		d, err := time.ParseDuration(s)
		return d, err == nil && low <= d && d <= high
	}}
}

func oneOf(names []string) value {
	return value{"string", "must be one of " + strings.Join(names, ", "), func(s string) (any, bool) {
		return s, slices.Contains(names, s)
	}}
}

func stringThat(is string) value {
	f, ok := formats[is]
	if !ok {
		panic(fmt.Sprintf("config: no format %q", is))
	}
	return value{"string", f.allowed, func(s string) (any, bool) { return f.parse(s) }}
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
