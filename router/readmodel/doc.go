// Package readmodel keeps read models up with the log.
//
// An [Engine] (engine.go) consumes the records of topic events for one
// projection. A partitionConsumer (partition_consumer.go) stands for an assigned
// partition. A batcher (batcher.go) collects the records of all assigned
// partitions, at the pace of all read models of the process and of the waiting
// readers (pace.go), and folds a batch in one transaction (batch.go, rows.go): the gate
// accepts records, the projection changes rows, and the [Store] (store.go)
// commits rows, stream heads and checkpoints together. The checkpoint is
// checked against the log (origin.go). A partition far behind is caught up in
// bulk (catchup.go), from a reading that the engines of a process share
// (shared_reading.go). If another generation goes live, the engine continues in
// the new generation (swapped.go).
//
// [Rebuild] (rebuild.go, bulk.go, bulkwriter.go, sortedrows) fills another generation (generations.go)
// beside the live generation. [Retry] (retry.go) folds parked streams again.
// [Verifier] folds the log anew and compares (verify.go, verify_fold.go,
// verify_compare.go) or repairs (verify_repair.go).
//
// [Waits] (waits.go, waiters.go) lets queries wait for a position (position.go).
// [Status] (status.go) reports to operators.
//
// DESIGN.md explains why. Package sqlstore has the store.
package readmodel
