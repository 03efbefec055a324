package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// errAlone means that an update goes on in a transaction of its own: another
// transaction has the turn of the read model, or another update failed.
var errAlone = errors.New("the update goes on alone")

// sharedPipeline is a shared transaction of PostgreSQL: all updates that wait at the
// beginning, in two round trips. The first one moves the checkpoints of all
// updates, and has the heads and rows that they asked for; the second one writes,
// and commits. If an update fails, the transaction does, and the other updates go
// on alone. So nobody needs savepoints.
type sharedPipeline struct {
	store   *Store
	tx      *transaction
	cancel  context.CancelFunc
	updates []*pipelineUpdate
	ended   bool
}

// pipelineUpdate is an update in a shared transaction of PostgreSQL.
type pipelineUpdate struct {
	*sharedUpdate
	batch *batch
	moves moving
}

// leadPipeline runs one shared transaction of PostgreSQL.
func (s *Store) leadPipeline(first *sharedUpdate) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := &sharedPipeline{store: s, cancel: cancel}
	defer t.end(errExited)
	t.add(first)
	t.end(t.run(ctx))
}

func (t *sharedPipeline) add(u *sharedUpdate) {
	// A statement that hangs would hang for all.
	u.stop = context.AfterFunc(u.ctx, func() { time.AfterFunc(sharedPatience, t.cancel) })
	t.updates = append(t.updates, &pipelineUpdate{sharedUpdate: u})
}

// run returns why the transaction fails for the updates that are left.
func (t *sharedPipeline) run(ctx context.Context) (err error) {
	if t.tx, err = t.store.write.beginPipelined(ctx, beginPostgres, postgresSharedSettings); err != nil {
		return err
	}
	t.tx.shared = ctx
	for _, u := range t.store.sharing.takeAll() {
		t.add(u)
	}
	if err := t.begin(ctx); err != nil {
		return aloneAfter(err)
	}
	for _, u := range t.updates {
		err := t.fold(u)
		if t.tx.pipe.failed != nil && u.panicked == nil && u.ctx.Err() == nil {
			return errAlone // the statement may be of an update before
		}
		if err != nil {
			t.leave(u, err)
			return errAlone
		}
	}
	if len(t.updates) == 0 {
		t.tx.rollback()
		return nil
	}
	return aloneAfter(t.tx.commit(ctx))
}

// aloneAfter lets the updates go on alone after an error of the server: a
// statement of one of the updates has failed. Otherwise the connection is lost.
func aloneAfter(err error) error {
	failed := (*pgconn.PgError)(nil)
	if errors.Is(err, errNotCommitted) || errors.As(err, &failed) && failed.SeverityUnlocalized == "ERROR" {
		return errAlone
	}
	return err
}

// begin moves the checkpoints of all updates, and asks for heads and rows. The
// updates whose turn another transaction has leave: they have written nothing.
func (t *sharedPipeline) begin(ctx context.Context) error {
	var statements []statement
	for _, u := range t.updates {
		u.batch = &batch{dialect: t.store.dialect, model: u.model, tx: t.tx}
		statements = append(statements, u.moves.statement(u.model.moveAtOnce, u.work.moves))
		if u.ahead != nil {
			statements = append(statements, u.batch.ask(u.ahead())...)
		}
	}
	if err := t.tx.send(ctx, statements...); err != nil {
		return err
	}
	for _, u := range append([]*pipelineUpdate(nil), t.updates...) {
		if u.moves.taken {
			t.leave(u, errAlone)
		}
	}
	return nil
}

// fold calls the function of an update whose checkpoints have moved.
func (t *sharedPipeline) fold(u *pipelineUpdate) (err error) {
	defer func() {
		if u.panicked = recover(); u.panicked != nil {
			err = u.fail(fmt.Errorf("panic: %v", u.panicked))
		}
	}()
	began := time.Now()
	if err := t.store.moved(u.ctx, t.tx, u.model, u.moves.moved()); err != nil {
		return u.fail(err)
	}
	if err := u.write(u.batch); err != nil {
		return err
	}
	t.store.sharing.note(u.projection, time.Since(began) > slowUpdate)
	return nil
}

// leave tells an update the result before the others.
func (t *sharedPipeline) leave(u *pipelineUpdate, err error) {
	for i := range t.updates {
		if t.updates[i] == u {
			t.updates = append(t.updates[:i], t.updates[i+1:]...)
			break
		}
	}
	u.stop()
	t.store.finish(u.sharedUpdate, err)
}

// end tells the updates that are left the result. Without an error, the
// transaction is committed already.
func (t *sharedPipeline) end(err error) {
	if t.ended {
		return
	}
	t.ended = true
	if err != nil && t.tx != nil {
		t.tx.rollback() // at the latest, the end of the connection undoes the writes
	}
	for _, u := range t.updates {
		u.stop()
		result := err
		if err != nil && !errors.Is(err, errAlone) {
			result = u.fail(err)
		}
		t.store.finish(u.sharedUpdate, result)
	}
}
