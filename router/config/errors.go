package config

import (
	"fmt"
	"strconv"
	"strings"
)

// maxShown is how many bytes of a wrong value are worth showing.
const maxShown = 100

// Problem is a mistake in the configuration.
type Problem struct {
	Key    string // the key, or the name of an unknown environment variable; empty: the file as a whole
	Value  string // the wrong value, quoted; *** for a secret; empty for a mistake without a value
	Source string // file:line, the environment variable, "flag" or "default"
	Reason string // the allowed values
}

// String is the problem on one line:
//
//	kafka.partitions: "0" (config/all.yaml:12): must be an integer from 1 to 10000
func (p Problem) String() string {
	if p.Key == "" {
		return p.Source + ": " + p.Reason
	}
	line := printable(p.Key)
	if p.Value != "" {
		line += ": " + p.Value
	}
	return fmt.Sprintf("%s (%s): %s", line, p.Source, p.Reason)
}

// Errors are all mistakes that [Load] found: of the file, then of the
// environment, then of the flags, then against the rules between keys. No
// problem shows a secret.
type Errors []Problem

// Error has a line for each problem.
func (e *Errors) Error() string {
	lines := make([]string, len(*e))
	for i, p := range *e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// quoted is a text in quotes, on one line, cut off after 100 bytes.
func quoted(s string) string {
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return strconv.Quote(s)
}

// printable is a key as written, or in escapes if the key would break the line.
func printable(key string) string {
	q := quoted(key)
	if plain := q[1 : len(q)-1]; plain == key {
		return key
	}
	return q
}
