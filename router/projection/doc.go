// Package projection is what a read model is written against: a [Projection] is
// a pure function from rows and an event to rows.
package projection
