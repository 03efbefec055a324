// Package projection is the contract for authors of read models.
//
// A [Projection] declares tables, and has two pure functions: Keys names the
// rows that an event needs, and Apply changes rows by an event. The engine
// calls both for every accepted record of the log, in the order of each stream.
// Rows and checkpoint are committed together, so no record is applied twice,
// and none is left out. Streams of several partitions may share rows.
//
//	var Projection = &projection.Projection{
//		Name:   "lists",
//		Of:     []string{"list"},
//		Tables: []projection.Table{{Name: "lists", Columns: columns}},
//		Keys:   keys,
//		Apply:  apply,
//	}
//
// An error or a panic parks the event's stream in the read model. The rows stay
// as they were before the event, queries mark the rows as stale, and other
// streams go on. After a fix, an operator retries the stream.
//
// Package projectiontest folds a log in a test. Package query has the queries.
package projection
