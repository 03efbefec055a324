// Package query answers queries from read models: a [Reader] is what they stand
// on.
package query
