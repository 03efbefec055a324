// Package sqlstore keeps read models in SQL databases: SQLite, in a file or in
// memory, and PostgreSQL. All three behave alike.
//
// A [Store] (store.go) writes in updates (batch.go), which share transactions
// (shared.go), and in holds (hold.go), reads in views (view.go, each.go),
// creates tables (prepare.go), and keeps several generations of a read model
// (generations.go). A generation has tables (model.go, table.go) with checked
// names (names.go), and keeps the definition of its rows (definition.go).
//
// Statements run in transactions of a pool of connections (pool.go). A dialect
// (dialect.go) hides the differences between SQLite (sqlite.go), where statements
// go past database/sql (direct.go), updates have a connection of their own
// (writer.go) that keeps values between updates (kept.go), writers of several
// processes take turns (turns.go) and the WAL is kept small (wal.go), and PostgreSQL (postgres.go, postgres_tls.go), perhaps
// behind a pooler (pooler.go). A store of a newer binary is refused if needed
// columns are gone (newer.go).
//
// DESIGN.md explains why.
package sqlstore
