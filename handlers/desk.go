package handlers

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// maxAtDesk bounds the commands of one partition that are under way.
const maxAtDesk = 1024

// desk decides the commands of one claimed partition, in order, many at a
// time: a decision stacks on the appends of its stream that are under way. A
// command leaves the desk once the ledger has read back its outcome, and the
// partition's offset is marked contiguously behind those that left.
//
// The lock of the ledger's partition guards it.
type desk struct {
	claim   *messaging.Claim
	topicID string
	ledger  *ledgerPartition
	log     *slog.Logger
	// append sends a record to the log, and calls delivered when it is known
	// whether Kafka holds it. It returns at once.
	append func(r *messaging.Record, delivered func(error))

	room   chan struct{} // a place for each command under way
	closed bool
	empty  chan struct{} // closed when the desk is closed and empty
	last   int64         // the offset of the last command that came
	marked atomic.Int64  // the offset that the group was told, -1 if none yet
	queue  []*job        // all that came and are not marked, in order
	stacks map[string]*stack
	retry  *time.Timer // runs while appends have failed

	unacked atomic.Int64 // appends that nobody knows of yet whether Kafka holds them
	// outdated is told that this binary can't decide for a stream any more.
	outdated func(error)
	meter    Meter
	tracer   Tracer // nil for none
}

// job is a command at the desk.
type job struct {
	command messaging.Command
	wish    users.Command
	at      messaging.CommandPosition
	record  *messaging.Record // nil while another job decides the same command id
	trace   string            // of the decision, "" if it isn't traced
	held    bool              // it comes from the stream's held commands
	failed  bool              // the append failed, or waits behind one that did
	// undecidable says that only a newer binary can decide it.
	undecidable bool
	done        bool
}

// stack is what a stream will be once its jobs' appends are read back.
type stack struct {
	top  stream
	jobs []*job
}

// typeOf is the type of a command of the stack, "" if it isn't there.
func (st *stack) typeOf(commandID string) string {
	if st != nil {
		for _, j := range st.jobs {
			if j.command.ID == commandID {
				return j.command.Type
			}
		}
	}
	return ""
}

func newDesk(claim *messaging.Claim, topicID string, ledger *ledgerPartition, send func(*messaging.Record, func(error)), log *slog.Logger) *desk {
	d := &desk{
		claim: claim, topicID: topicID, ledger: ledger, append: send, log: log,
		room:  make(chan struct{}, maxAtDesk),
		empty: make(chan struct{}),
		last:  -1, stacks: map[string]*stack{},
		outdated: func(error) {}, meter: unmetered{},
	}
	d.marked.Store(-1)
	return d
}

// reached is the offset below which all commands are decided.
func (d *desk) reached() int64 { return max(d.marked.Load(), d.claim.First()) }

// take puts a command on the desk, and waits while the desk is full. It says
// whether it did: a desk whose partition is gone takes nothing.
func (d *desk) take(c messaging.Command, wish users.Command) bool {
	select {
	case d.room <- struct{}{}:
	case <-d.claim.Context.Done():
		return false
	}
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	if d.closed || c.Offset <= d.last {
		<-d.room
		return false
	}
	d.last = c.Offset
	j := &job{command: c, wish: wish, at: messaging.CommandPosition{TopicID: d.topicID, Offset: c.Offset}}
	d.queue = append(d.queue, j)
	if wish == nil { // it has been dealt with; only its turn is to be kept
		j.done = true
	} else {
		d.push(j)
	}
	d.mark()
	return true
}

// push decides a job on top of its stream's stack.
func (d *desk) push(j *job) {
	name := j.command.Stream
	st := d.stacks[name]
	if st == nil {
		st = &stack{top: d.known(name)}
		d.stacks[name] = st
	}
	st.jobs = append(st.jobs, j)
	d.decide(st, j)
	d.settle(name, st)
}

// known is the stream as the ledger has it.
func (d *desk) known(name string) stream {
	if s := d.ledger.streams[name]; s != nil {
		return s.copied()
	}
	return stream{}
}

// decide gives a job its record, on top of the stack, and sends it. A command
// that has its outcome, or will have it by another job, gets none.
func (d *desk) decide(st *stack, j *job) {
	j.record, j.trace, j.failed, j.undecidable = nil, "", false, false
	if d.decided(j) || underWay(st, j) {
		return
	}
	if errors.Is(st.top.unreadable, users.ErrUnknownEvent) {
		// A newer binary wrote it, and must decide: parking the user would
		// count for that one too.
		j.undecidable = true
		d.outdated(st.top.unreadable)
		return
	}
	traced := d.tracer != nil && j.command.Trace != ""
	var began time.Time
	if traced {
		began = time.Now()
	}
	var r messaging.Record
	if j.held {
		r = decideHeld(&st.top, &st.top.held[st.top.indexHeld(j.command.ID)])
	} else {
		r = decide(&st.top, &j.command, j.wish, j.at)
	}
	j.record = &r
	if traced {
		j.trace = d.tracer.Decided(&j.command, &r, began)
	}
	// Stacked by the same fold that reads it back. What the ledger remembers
	// is not touched: a stack only needs the state.
	st.top.outcomes = nil
	st.top.fold(j.record, 1)
	if d.retry != nil {
		j.failed = true // behind those that failed: it goes with them
		return
	}
	d.send(j)
}

func (d *desk) decided(j *job) bool {
	if j.held {
		s := d.ledger.streams[j.command.Stream]
		return s.parked || !s.holds(j.command.ID)
	}
	return d.ledger.decided(j.command.Stream, j.command.ID, j.at)
}

// underWay says whether an earlier job of the stack is about the same command
// id.
func underWay(st *stack, j *job) bool {
	for _, earlier := range st.jobs {
		if earlier == j {
			return false
		}
		if earlier.record != nil && earlier.command.ID == j.command.ID {
			return true
		}
	}
	return false
}

func (d *desk) send(j *job) {
	r, sent := j.record, time.Now()
	var traced func(error)
	if j.trace != "" {
		traced = d.tracer.Appending(r, j.trace)
	}
	d.unacked.Add(1)
	d.append(r, func(err error) {
		d.unacked.Add(-1)
		d.meter.Appended(time.Since(sent), err)
		if traced != nil {
			traced(err)
		}
		if err != nil {
			// Not here: the producer waits for this to return.
			go d.appendFailed(j, r, err)
		}
	})
}

// accepted is told of each record that the gate accepted in this partition.
func (d *desk) accepted(s *stream, r *messaging.Record) {
	st := d.stacks[r.Stream]
	d.meter.Decided(st.typeOf(r.CommandID), r)
	if st == nil {
		d.resume(r.Stream, s)
		return
	}
	first := st.jobs[0]
	if first.record == nil || first.record.Digest != r.Digest {
		// Somebody else took the slot: all that was stacked on it falls.
		st.top = s.copied()
		for _, j := range st.jobs {
			d.decide(st, j)
		}
	}
	d.settle(r.Stream, st)
	d.resume(r.Stream, s)
	d.mark()
}

// resumeAll goes on with all streams whose held commands may.
func (d *desk) resumeAll() {
	for name, s := range d.ledger.streams {
		d.resume(name, s)
	}
}

// resume decides a stream's first held command, if it may go on. The next one
// follows when this one's outcome is read back.
func (d *desk) resume(name string, s *stream) {
	if d.closed || !s.resuming() {
		return
	}
	st := d.stacks[name]
	if st == nil {
		st = &stack{top: s.copied()}
		d.stacks[name] = st
	} else if slices.ContainsFunc(st.jobs, func(j *job) bool { return j.held }) {
		return
	}
	j := &job{command: s.held[0].Command, at: s.held[0].At, held: true}
	st.jobs = append(st.jobs, j)
	d.decide(st, j)
}

// settle takes the jobs off a stack that have their outcome. One that repeats
// a command id has it when its turn comes, even if the ledger has forgotten it
// by then.
func (d *desk) settle(name string, st *stack) {
	for len(st.jobs) > 0 {
		j := st.jobs[0]
		if repeats := j.record == nil && !j.held && !j.undecidable; !repeats && !d.decided(j) {
			break
		}
		j.done = true
		st.jobs = st.jobs[1:]
		if j.failed && len(st.jobs) > 0 {
			st.jobs[0].failed = true
		}
	}
	if len(st.jobs) == 0 {
		delete(d.stacks, name)
	}
}

// mark moves the group's offset behind the jobs that are done, up to the
// first that isn't.
func (d *desk) mark() {
	n := 0
	for n < len(d.queue) && d.queue[n].done {
		<-d.room
		n++
	}
	if n > 0 {
		next := d.queue[n-1].command.Offset + 1
		d.claim.Mark(next)
		d.marked.Store(next)
		d.queue = slices.Delete(d.queue, 0, n)
	}
	if d.closed && len(d.queue) == 0 {
		d.finish()
	}
}

// close takes no more commands, and waits for those under way until the
// context ends. What is left then is not marked: whoever claims the partition
// next finds it decided, or decides it.
func (d *desk) close(ctx context.Context) (left int) {
	d.ledger.mu.Lock()
	d.closed = true
	if len(d.queue) == 0 {
		d.finish()
	}
	d.ledger.mu.Unlock()
	select {
	case <-d.empty:
	case <-ctx.Done():
	}
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	d.finish()
	if d.retry != nil {
		d.retry.Stop()
	}
	if d.ledger.desk == d {
		d.ledger.desk = nil
	}
	return len(d.queue)
}

func (d *desk) finish() {
	if !d.finished() {
		close(d.empty)
	}
}

func (d *desk) finished() bool {
	select {
	case <-d.empty:
		return true
	default:
		return false
	}
}
