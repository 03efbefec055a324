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

// ErrCheckpointMoved is returned by [Store.Update], as a [MovedError], when a
// checkpoint isn't where the batch started: another process has taken over.
var ErrCheckpointMoved = errors.New("the checkpoint has moved")

// MovedError says which partitions have another checkpoint than an update
// started from. It is an [ErrCheckpointMoved].
type MovedError struct{ Partitions []int32 }

// Error implements error.
func (e *MovedError) Error() string {
	return fmt.Sprintf("%v: partitions %v", ErrCheckpointMoved, e.Partitions)
}

// Is says that it is an [ErrCheckpointMoved].
func (e *MovedError) Is(target error) bool { return target == ErrCheckpointMoved }

// ErrNotPrepared is returned by reads of a read model that no query service
// has made yet.
var ErrNotPrepared = errors.New("the read model isn't there yet: no query-service has run on this store")

// ErrOtherDefinition is returned where the tables of a generation are not
// those that this binary's projection makes: another binary made them.
var ErrOtherDefinition = errors.New("its tables are not those of this binary")

// ErrOldStore is returned for a store of before v0.1.0, in which streams have
// other names than now. There is no migration, for nothing was released before.
var ErrOldStore = errors.New("the store is from before v0.1.0, and names streams otherwise: " +
	"delete the database (SQLite: the file; PostgreSQL: the tables) and start again; the log fills a new one")

// Checkpoint is how far one partition of the log is folded into a generation
// of a read model.
type Checkpoint struct {
	// Generation is that of the read model's tables, from 1. A batch that was
	// begun on one of them never ends in another.
	Generation int
	Partition  int32
	// Next is the offset of the first record that is not in.
	Next int64
	// Digest is of the record before it (zero if there is none), accepted or
	// not: a log that lost its tail or was recreated is found by it.
	Digest eventlog.Digest
}

// Move is a checkpoint's step: of one partition, from where to where.
type Move struct{ From, To Checkpoint }

// StreamHead is where a stream stands in a read model.
type StreamHead struct {
	eventlog.Head
	// Parked says why the stream stopped here, "" if it goes on.
	Parked string
	// ParkedOffset is the offset of the record it stopped at.
	ParkedOffset int64
	// Decided is the position of the last command whose outcome is in. The
	// topic id is "" if none is known.
	Decided eventlog.CommandPosition
}

// HasDecided says whether the outcome of a command of this stream is in. A
// recreated topic commands has another id, and counts anew.
func (h StreamHead) HasDecided(at eventlog.CommandPosition) bool {
	return h.Decided.TopicID == at.TopicID && h.Decided.Offset >= at.Offset
}

// Store holds read models, and owns their checkpoints.
type Store interface {
	// Prepare makes what a read model needs, if it isn't there: its tables,
	// and a checkpoint at 0 for each partition. It is an
	// [ErrOtherDefinition] if the live generation is not this binary's, and,
	// as reads are, an [ErrOldStore] if that is of before v0.1.0.
	Prepare(ctx context.Context, p *projection.Projection, partitions int32) error
	// Checkpoints returns the live generation's, by partition.
	Checkpoints(ctx context.Context, p *projection.Projection) ([]Checkpoint, error)
	// Update moves the checkpoints of some partitions and, in the same
	// transaction, does what fn does. It begins with the checkpoints: each
	// moves only if it still is at From (Next and Digest), and From's
	// Generation is still the live one. If one isn't, nothing happens at all,
	// and the error is a [MovedError] that names all of those. An error of fn
	// rolls back and is returned as it is. Updates of one read model come one
	// after the other, whatever their partitions, so that partitions may share
	// rows.
	Update(ctx context.Context, p *projection.Projection, moves []Move, fn func(Tx) error) error
	// Hold keeps all updates of the live generation waiting while fn looks at
	// it and writes: both are of one transaction, and the view sees what was
	// written. It is for work that mends a read model beside the engine: so
	// nobody may keep rows or heads from one update to the next. Keep it
	// short.
	// An error of fn rolls back and is returned as it is.
	Hold(ctx context.Context, p *projection.Projection, fn func(Tx, View) error) error
	// View gives fn one consistent view of a read model: its rows and its
	// checkpoints are of the same moment, and of the generation that was live
	// then. fn may be called again from the start, if that generation was
	// dropped meanwhile. A live generation that lacks one of this binary's
	// columns is an [ErrOtherDefinition].
	View(ctx context.Context, p *projection.Projection, fn func(View) error) error
	// Ping says whether the store can be reached.
	Ping(ctx context.Context) error
	// Close ends all connections.
	Close() error
}

// Tx is the write transaction of one batch.
type Tx interface {
	// Heads returns the heads of these streams; those never seen are not in.
	Heads(ctx context.Context, streams []string) (map[string]StreamHead, error)
	// PutHeads sets heads.
	PutHeads(ctx context.Context, heads map[string]StreamHead) error
	// DeleteHeads removes heads.
	DeleteHeads(ctx context.Context, streams []string) error
	// PutCheckpoint sets a checkpoint, wherever it is: only [Store.Hold] has
	// a use for it.
	PutCheckpoint(ctx context.Context, c Checkpoint) error
	// Rows returns those rows of a table that have one of these keys.
	Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error)
	// Put inserts rows, or replaces those with the same key.
	Put(ctx context.Context, table string, rows []projection.Row) error
	// Delete removes the rows with these keys.
	Delete(ctx context.Context, table string, keys []projection.Row) error
}

// View is a consistent view of one read model.
type View interface {
	// Generation is which of the read model's generations this is, from 1.
	Generation() int
	// Own says whether that generation was made of this binary's definition.
	// Another binary may make other rows of the same log.
	Own() bool
	// Checkpoints returns those of all partitions, by partition.
	Checkpoints(ctx context.Context) ([]Checkpoint, error)
	// Head returns a stream's head, the zero value if it was never seen.
	Head(ctx context.Context, stream string) (StreamHead, error)
	// Heads returns the heads of these streams; those never seen are not in.
	Heads(ctx context.Context, streams []string) (map[string]StreamHead, error)
	// Parked returns the heads of those of these streams that are parked.
	Parked(ctx context.Context, streams []string) (map[string]StreamHead, error)
	// Rows returns those rows of a table that have one of these keys.
	Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error)
	// Each hands over all rows of a table, by key, as they come. fn asks
	// nothing else of the view meanwhile. An error of fn ends it.
	Each(ctx context.Context, table string, fn func(projection.Row) error) error
	// EachHead hands over all heads, by stream, and EachParked those of the
	// parked streams, as Each does.
	EachHead(ctx context.Context, fn func(stream string, head StreamHead) error) error
	EachParked(ctx context.Context, fn func(stream string, head StreamHead) error) error
	// Query asks in SQL that SQLite and PostgreSQL both read. {name} stands
	// for the projection's table of that name, $1 … for the arguments.
	// Booleans are written as they come; texts are ordered bytewise.
	Query(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// ReadTimeout bounds one reading of a read model: a store that hangs is
// answered with 503 before clients give up.
const ReadTimeout = 10 * time.Second
