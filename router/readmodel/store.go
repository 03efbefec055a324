package readmodel

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// ErrCheckpointMoved is returned by [Store.Update], as a [MovedError], if a
// checkpoint is not at the start of the batch: another process has taken over.
var ErrCheckpointMoved = errors.New("the checkpoint has moved")

// MovedError names the partitions whose checkpoints are not where an update
// started. A MovedError is an [ErrCheckpointMoved].
type MovedError struct{ Partitions []int32 }

// Error implements error.
func (e *MovedError) Error() string {
	return fmt.Sprintf("%v: partitions %v", ErrCheckpointMoved, e.Partitions)
}

// Is lets [errors.Is] match [ErrCheckpointMoved].
func (e *MovedError) Is(target error) bool { return target == ErrCheckpointMoved }

// ErrNotPrepared is returned by reads before a query service has created the
// read model.
var ErrNotPrepared = errors.New("the read model isn't there yet: no query-service has run on this store")

// ErrOtherDefinition is returned if a generation has another definition than
// this binary's projection: another binary created the generation.
var ErrOtherDefinition = errors.New("the tables have another definition than this binary's")

// ErrHeadExists is returned by [Tx.InsertHeads] if a stream has a head.
var ErrHeadExists = errors.New("the stream has a head")

// ErrOldStore is returned for a store from before v0.1.0, which names streams
// otherwise. There is no migration, because there was no release before.
var ErrOldStore = errors.New("the store is from before v0.1.0, and names streams otherwise: " +
	"delete the database (SQLite: the file; PostgreSQL: the tables) and start again; the log fills a new one")

// ErrNewerStore is returned for a store that a newer binary has migrated, if
// this binary can't use the newer tables.
var ErrNewerStore = errors.New("a newer binary has migrated the store, and this binary can't use its tables: start the newer binary")

// Checkpoint is the progress of a partition of the log in a generation of a
// read model.
type Checkpoint struct {
	// Generation counts from 1. A batch of one generation is never committed to
	// another.
	Generation int
	Partition  int32
	// Next is the offset of the first record that is not folded yet.
	Next int64
	// Digest is the digest of the record before Next, accepted or not; zero if
	// there is none. The digest reveals a log that lost its tail, or was
	// created anew.
	Digest eventlog.Digest
}

// Move is a step of a partition's checkpoint.
type Move struct{ From, To Checkpoint }

// StreamHead is the state of a stream in a read model.
type StreamHead struct {
	eventlog.Head
	// Parked is the reason if the stream is parked, and "" otherwise.
	Parked string
	// ParkedOffset is the offset of the record at which the stream was parked.
	ParkedOffset int64
	// Decided is the position of the last command with a folded outcome. The
	// topic id is "" if there is none.
	Decided eventlog.CommandPosition
}

// HasDecided says whether the outcome of a command of this stream is folded.
// Positions in a topic with another id are not comparable: the topic was
// created anew.
func (h StreamHead) HasDecided(at eventlog.CommandPosition) bool {
	return h.Decided.TopicID == at.TopicID && h.Decided.Offset >= at.Offset
}

// Ahead is the heads and rows that an update or a view will probably ask for.
// Whoever asks for more gets more, for another round trip to the store.
type Ahead struct {
	Streams []string
	Keys    []projection.RowKey
}

// Store holds read models and their checkpoints.
type Store interface {
	// Prepare creates a read model's tables, and checkpoints at 0 for each
	// partition, if the read model has none. If the live generation is another
	// binary's, the error is an [ErrOtherDefinition]; if the store is from
	// before v0.1.0, an [ErrOldStore]. Reads return the same errors.
	Prepare(ctx context.Context, p *projection.Projection, partitions int32) error
	// Checkpoints returns the live generation's checkpoints, by partition.
	Checkpoints(ctx context.Context, p *projection.Projection) ([]Checkpoint, error)
	// Update moves the checkpoints of some partitions, and then calls fn in the
	// same transaction. A checkpoint moves only if the stored checkpoint equals
	// From (Next and Digest), and From's Generation is live. Otherwise nothing
	// is written, and the error is a [MovedError] with all such partitions. An
	// error of fn rolls back, and is returned unchanged. Updates of a read
	// model run one after the other, whatever their partitions, so partitions
	// may share rows.
	//
	// A distant store calls ahead, and gets these heads and rows as it begins the
	// transaction; nil for none. An error of a write may come after fn. If an update
	// beside it fails, Update calls fn again, in another transaction.
	Update(ctx context.Context, p *projection.Projection, moves []Move, ahead func() Ahead, fn func(Tx) error) error
	// Hold keeps all updates of the live generation waiting while fn reads and
	// writes, in one transaction. The view sees the writes of the transaction.
	// Hold is for repairs beside the engine. What updates kept ([Tx.Kept]) is
	// forgotten. An engine that keeps rows or heads in another way must compare
	// the number of holds. Hold should be short. An error of fn rolls back, and
	// is returned unchanged.
	Hold(ctx context.Context, p *projection.Projection, fn func(Tx, View) error) error
	// View gives fn one consistent view of a read model: rows and checkpoints
	// of one moment, of the generation that was live at that moment. If the
	// generation is dropped meanwhile, View calls fn again from the start. If
	// the live generation lacks a column of this binary's projection, the error
	// is an [ErrOtherDefinition].
	View(ctx context.Context, p *projection.Projection, fn func(View) error) error
	// ViewAhead is View for a function that will probably ask for these heads and
	// rows only. A distant store gets these as it begins the view, and calls fn
	// again if fn asks for more.
	ViewAhead(ctx context.Context, p *projection.Projection, ahead Ahead, fn func(View) error) error
	// Ping returns an error if the store can't be reached.
	Ping(ctx context.Context) error
	// Close ends all connections.
	Close() error
}

// Tx is the transaction of an update.
type Tx interface {
	// Heads returns the heads of these streams. Streams without a head are left
	// out.
	Heads(ctx context.Context, streams []string) (map[string]StreamHead, error)
	// PutHeads sets heads.
	PutHeads(ctx context.Context, heads map[string]StreamHead) error
	// InsertHeads sets the heads of streams without a head. If a stream has a
	// head, the error is an [ErrHeadExists], and the transaction must not be
	// committed.
	InsertHeads(ctx context.Context, heads map[string]StreamHead) error
	// Kept returns what the last committed update of this generation kept: nil
	// if anything else may have written to the generation since, in this or
	// another process, or if the store can't tell.
	Kept() any
	// Keep keeps a value for the next update, if this one is committed.
	Keep(value any)
	// DeleteHeads removes heads.
	DeleteHeads(ctx context.Context, streams []string) error
	// Holds returns how often the generation was held ([Store.Hold]).
	Holds(ctx context.Context) (int64, error)
	// PutCheckpoint sets a checkpoint, without a condition. Only [Store.Hold]
	// has a use for PutCheckpoint.
	PutCheckpoint(ctx context.Context, c Checkpoint) error
	// Rows returns the rows of a table with these keys.
	Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error)
	// Put inserts rows, and replaces rows with the same keys.
	Put(ctx context.Context, table string, rows []projection.Row) error
	// Delete removes the rows with these keys.
	Delete(ctx context.Context, table string, keys []projection.Row) error
}

// View is a consistent view of a read model.
type View interface {
	// Generation returns the number of the viewed generation, from 1.
	Generation() int
	// Own says whether the generation has the definition of this binary's
	// projection. Another definition may make other rows of the same log.
	Own() bool
	// Checkpoints returns the checkpoints of all partitions, by partition.
	Checkpoints(ctx context.Context) ([]Checkpoint, error)
	// Holds returns how often the generation was held ([Store.Hold]).
	Holds(ctx context.Context) (int64, error)
	// Head returns a stream's head: the zero value if there is none.
	Head(ctx context.Context, stream string) (StreamHead, error)
	// Heads returns the heads of these streams. Streams without a head are left
	// out.
	Heads(ctx context.Context, streams []string) (map[string]StreamHead, error)
	// Parked returns the heads of the parked streams among these streams.
	Parked(ctx context.Context, streams []string) (map[string]StreamHead, error)
	// Rows returns the rows of a table with these keys.
	Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error)
	// Each hands over the rows of a table behind a key, by key; all rows if the
	// key is nil. fn makes no other call of the view. An error of fn ends Each,
	// and is returned unchanged.
	Each(ctx context.Context, table string, after projection.Row, fn func(projection.Row) error) error
	// EachHead hands over the heads behind a stream, by stream, or all heads;
	// EachParked the heads of parked streams. Both follow the rules of Each.
	EachHead(ctx context.Context, after projection.Row, fn func(stream string, head StreamHead) error) error
	EachParked(ctx context.Context, fn func(stream string, head StreamHead) error) error
	// Query runs a query in SQL for both SQLite and PostgreSQL. {name} stands
	// for the projection's table name, $1 … for the arguments. A boolean column
	// is a condition by itself, as in WHERE active. Texts are ordered bytewise.
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ReadTimeout limits one read of a read model, so that clients of a store that
// hangs get a 503 before they give up.
const ReadTimeout = 10 * time.Second
