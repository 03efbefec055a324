// Package readmodel folds the log into read models.
//
// An [Engine] feeds a projection: it takes records from a Watermill
// subscription, in batches (batcher.go), lets through what is accepted
// (batch.go), and has the [Store] commit rows, the streams' heads and the
// checkpoint in one transaction, which the checkpoint's own move begins.
//
// Package sqlstore is the store, in SQLite, PostgreSQL and memory.
package readmodel
