// Package sqlstore keeps read models in SQL databases: SQLite, in a file or in
// memory, and PostgreSQL. All three behave alike.
//
// A [Store] (store.go) writes in updates (batch.go), which share transactions
// (shared.go), and in holds (hold.go), reads in views (view.go, each.go),
// creates tables, unless a newer binary's store lacks columns (prepare.go), and
// keeps several generations of a read model (generations.go). A generation has
// tables (model.go, table.go), and keeps the definition of its rows
// (definition.go).
//
// Statements run in transactions of a pool of connections (pool.go). A dialect
// (dialect.go) hides the differences between SQLite (sqlite.go), where statements
// go past database/sql (direct.go), updates have a connection of their own
// (writer.go) that keeps values between updates (kept.go), writers of several
// processes take turns (turns.go) and the WAL is kept small (wal.go), and
// PostgreSQL (postgres_open.go, postgres.go), perhaps behind a pooler, where the
// statements of many updates go to the server together (pipeline.go,
// shared_pipeline.go), with the queries for heads and rows that an update or a
// view will ask for (ahead.go).
//
// DESIGN.md explains why.
package sqlstore
