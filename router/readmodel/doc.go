// Package projections is the read side: it folds the log into read models, and
// answers queries from them.
//
// A [projection.Projection] is a pure function from rows and an event to rows. An
// [Engine] feeds it: it takes records from a Watermill subscription, in
// batches (folder.go), lets the gate pass what counts (batch.go), and has the
// [Store] commit rows, the streams' heads and the checkpoint in one
// transaction, which the checkpoint's own move begins. A [query.Reader] is what the
// queries stand on.
//
// Each read model has a folder: its rows, its projection, its queries. Package
// sqlstore is the store, in SQLite, PostgreSQL and memory.
package readmodel
