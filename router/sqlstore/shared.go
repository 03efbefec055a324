package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

const (
	// largeUpdate is the number of records from which an update has a
	// transaction of its own, such as a batch of a bulk catch-up.
	largeUpdate = 2000
	// slowUpdate is how long an update may work in a shared transaction. The
	// next update of a slower read model has a transaction of its own. A shared
	// transaction that is as old admits no more updates.
	slowUpdate = 50 * time.Millisecond
	// sharedPatience is how long a shared transaction may go on after the
	// context of one of its updates has ended.
	sharedPatience = 250 * time.Millisecond
)

// The first update of a transaction needs no savepoint: its rollback is the
// transaction's.
const (
	savepoint           = "SAVEPOINT update_of_a_model"
	rollbackToSavepoint = "ROLLBACK TO SAVEPOINT update_of_a_model"
)

var errExited = errors.New("the update's function has ended its goroutine")

// sharing is the queue of the updates that wait for a shared transaction.
type sharing struct {
	mu      sync.Mutex
	waiting []*sharedUpdate
	leaders int // goroutines at work on shared transactions
	// Leaders rest between transactions: the stack of a new goroutine would grow
	// anew in SQLite, each time.
	started int           // leaders, at work or at rest
	resting chan struct{} // wakes a leader that rests
	// alone has the read models whose next update gets a transaction of its
	// own: the last update failed, or was slow.
	alone map[*projection.Projection]bool
}

// sharedUpdate is an update that waits for a shared transaction, or is in a
// shared transaction.
type sharedUpdate struct {
	work
	done     chan struct{}
	err      error
	panicked any
	stop     func() bool // ends the watch on the context, in PostgreSQL
}

// work is an update of a read model: the moves and the writes.
type work struct {
	ctx        context.Context //nolint:containedctx // the caller waits meanwhile
	projection *projection.Projection
	model      *model
	moves      []readmodel.Move
	ahead      func() readmodel.Ahead // nil for nothing
	fn         func(readmodel.Tx) error
}

func (w *work) fail(err error) error {
	return fmt.Errorf("update read model %s: %w", w.projection.Name, err)
}

// records is the number of records of the update, about.
func (w *work) records() (n int64) {
	for i := range w.moves {
		n += w.moves[i].To.Next - w.moves[i].From.Next
	}
	return n
}

// wantsAlone says whether an update gets a transaction of its own.
func (q *sharing) wantsAlone(w *work) bool {
	if w.records() >= largeUpdate {
		return true
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.alone[w.projection]
}

// note decides whether the next update of a read model gets a transaction of
// its own.
func (q *sharing) note(p *projection.Projection, alone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !alone {
		delete(q.alone, p)
		return
	}
	if q.alone == nil {
		q.alone = map[*projection.Projection]bool{}
	}
	q.alone[p] = true
}

// take removes the first waiting update from the queue. An idle leader ends if
// there is none.
func (q *sharing) take(idle bool) *sharedUpdate {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		if idle {
			q.leaders--
		}
		return nil
	}
	first := q.waiting[0]
	q.waiting = slices.Delete(q.waiting, 0, 1)
	return first
}

// takeAll removes all waiting updates.
func (q *sharing) takeAll() []*sharedUpdate {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := q.waiting
	q.waiting = nil
	return all
}

// leave removes an update from the queue, and says whether the update was
// there.
func (q *sharing) leave(u *sharedUpdate) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, u)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// share runs an update in the transaction that is under way, or about to begin.
// share returns after the commit.
func (s *Store) share(w work) error {
	if err := s.write.prepare(w.ctx, w.model.updates); err != nil {
		return w.fail(err)
	}
	u := &sharedUpdate{work: w, done: make(chan struct{})}
	q := &s.sharing
	q.mu.Lock()
	q.waiting = append(q.waiting, u)
	lead := q.leaders < s.dialect.leaders()
	if lead {
		q.leaders++
	}
	q.mu.Unlock()
	if lead {
		s.wakeLeader()
	}
	select {
	case <-u.done:
	case <-w.ctx.Done():
		if q.leave(u) {
			return w.fail(w.ctx.Err())
		}
		<-u.done
	}
	if u.panicked != nil {
		panic(u.panicked)
	}
	return u.err
}

// wakeLeader lets a goroutine run the shared transactions.
func (s *Store) wakeLeader() {
	q := &s.sharing
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started == s.dialect.leaders() {
		q.resting <- struct{}{} // has room for all leaders
		return
	}
	if q.started == 0 {
		q.resting = make(chan struct{}, s.dialect.leaders())
	}
	q.started++
	go s.leads(q.resting)
}

// rest is how long a leader waits for the next transaction.
const rest = 100 * time.Millisecond

// leads runs shared transactions until a rest is over.
func (s *Store) leads(resting <-chan struct{}) {
	ended := false
	defer func() {
		if !ended { // a function of an update has ended this goroutine
			go s.leads(resting)
		}
	}()
	timer := time.NewTimer(rest)
	defer timer.Stop()
	for !ended {
		s.lead()
		timer.Reset(rest)
		select {
		case <-resting:
		case <-timer.C:
			ended = s.sharing.end(resting)
		}
	}
}

// end says that a leader ends, unless the leader is woken.
func (q *sharing) end(resting <-chan struct{}) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-resting:
		return false
	default:
		q.started--
		return true
	}
}

// lead runs shared transactions until no update waits.
func (s *Store) lead() {
	for {
		runtime.Gosched() // the other read models have the same records, and are about to come
		first := s.sharing.take(true)
		if first == nil {
			return
		}
		if s.write.pipelines {
			s.leadPipeline(first)
		} else {
			s.leadOne(first)
		}
	}
}

// leadOne runs one shared transaction of SQLite: the first update, and each update
// that comes before the commit, in order.
func (s *Store) leadOne(first *sharedUpdate) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := context.AfterFunc(first.ctx, cancel)
	tx, release, err := s.beginShared(ctx)
	if !stop() { // the first update's context has ended
		if err == nil {
			tx.rollback() // nothing was written
			release()
		}
		s.finish(first, first.fail(first.ctx.Err()))
		return
	}
	if err != nil {
		for _, u := range append([]*sharedUpdate{first}, s.sharing.takeAll()...) {
			s.finish(u, u.fail(err))
		}
		return
	}
	t := &sharedTx{store: s, tx: tx, release: release, began: time.Now()}
	defer t.end(errExited)
	for u := first; u != nil; u = t.next() {
		if !t.add(u) {
			return
		}
	}
	t.end(tx.commit(ctx))
}

func (s *Store) beginShared(ctx context.Context) (tx *transaction, release func(), err error) {
	release, err = s.wait(ctx, sqliteReaders)
	if err != nil {
		return nil, nil, err
	}
	if tx, err = s.write.beginUpdates(ctx); err != nil {
		release()
		return nil, nil, err
	}
	return tx, release, nil
}

// finish tells an update's caller the result. A failed update gets a
// transaction of its own next time, so that it fails nobody else.
func (s *Store) finish(u *sharedUpdate, err error) {
	if err != nil {
		s.sharing.note(u.projection, true)
	}
	u.err = err
	close(u.done)
}

// sharedTx is a transaction of SQLite with several updates.
type sharedTx struct {
	store   *Store
	tx      *transaction
	release func()
	began   time.Time
	in      []*sharedUpdate // the updates that are done
	now     *sharedUpdate   // the update under way
	ended   bool
}

// next is the next update for the transaction, nil if the transaction ends.
func (t *sharedTx) next() *sharedUpdate {
	if time.Since(t.began) > slowUpdate {
		return nil
	}
	return t.store.sharing.take(false)
}

// add runs an update. A failed update is undone alone. add returns false after
// the end of the transaction.
func (t *sharedTx) add(u *sharedUpdate) bool {
	t.now = u
	alone := len(t.in) == 0
	if !alone {
		if _, err := t.tx.exec(context.Background(), savepoint); err != nil {
			t.end(err)
			return false
		}
	}
	err := t.run(u)
	if err == nil {
		t.in, t.now = append(t.in, u), nil
		return true
	}
	var lost error // why the transaction can't go on
	if alone {
		lost = err
	} else {
		_, lost = t.tx.exec(context.Background(), rollbackToSavepoint)
	}
	t.now = nil
	if lost != nil {
		t.end(lost)
	}
	t.store.finish(u, err)
	return lost == nil
}

// run moves the checkpoints and calls the function of an update.
func (t *sharedTx) run(u *sharedUpdate) (err error) {
	defer func() {
		if u.panicked = recover(); u.panicked != nil {
			err = u.fail(fmt.Errorf("panic: %v", u.panicked))
		}
	}()
	began := time.Now()
	if err := t.store.run(t.tx, &u.work, u.model.move); err != nil {
		return err
	}
	t.store.sharing.note(u.projection, time.Since(began) > slowUpdate)
	return nil
}

// end ends the transaction, and tells the updates of the transaction. Without
// an error, the transaction is committed already.
func (t *sharedTx) end(err error) {
	if t.ended {
		return
	}
	t.ended = true
	if err != nil {
		t.tx.rollback() // at the latest, the end of the connection undoes the writes
	}
	t.release()
	if t.now != nil {
		t.in, t.now = append(t.in, t.now), nil
	}
	for _, u := range t.in {
		result := err
		if err != nil {
			result = u.fail(err)
		}
		t.store.finish(u, result)
	}
}
