// Package values has the values that commands and events of both aggregates
// carry: ids, amounts of money and account numbers. Each value checks itself
// when a command is read.
package values
