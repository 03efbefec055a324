package protocol

import "slices"

// maxJobs is the largest window, and a held command of each of two users.
const maxJobs = 6

// maxAir bounds the appends of a handler whose end is not known.
const maxAir = 10

// handler is one command service: its ledger, and the desk for the partition
// if it has, or believes to have, claimed it. Its ledger is the fold of the
// log as it was once, so that state of the log stands for it.
type handler struct {
	folded  log
	claimed bool
	topic   uint8 // of the session
	next    uint8 // the command that is delivered next
	marked  uint8 // all commands before are done
	strayed bool
	retry   bool // appends have failed and are to be sent again
	jobs    [maxJobs]job
	air     [maxAir]flight
}

// job is a command at the desk.
type job struct {
	command uint8  // its place and one more, 0 for no job
	record  digest // 0 if it needs none
	held    bool   // it comes from the stream's held commands
	failed  bool   // the append failed, or waits behind one that did
	acked   bool   // Kafka holds the record: nothing looks at that in a sound protocol
	done    bool
}

// flight is an append whose end is not known.
type flight struct {
	record digest
	state  state
}

type state uint8

const (
	flying state = iota // in order
	failed              // the handler is about to be told that it failed
	astray              // nobody waits for it; it lands at any time, or never
)

// desk is a handler at work, in a world.
type desk struct {
	*model
	*world
	*handler
	who    uint8
	binary *binary
}

func (m *model) desk(w *world, who uint8) desk {
	return desk{m, w, &w.handlers[who], who, &m.scenario.handlers[who]}
}

// ledger is a user as this handler knows it.
func (d desk) ledger(user uint8) *stream { return &d.entries[d.folded].streams[d.who][user] }

func (d desk) userOf(j *job) uint8 { return d.commands[j.command-1].user }

// stack is the jobs of a user that are under way, in order.
func (d desk) stack(user uint8) (jobs []*job) {
	for i := range d.jobs {
		if j := &d.jobs[i]; j.command > 0 && !j.done && d.userOf(j) == user {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (d desk) add(j job) *job {
	for i := range d.jobs {
		if d.jobs[i].command == 0 {
			d.jobs[i] = j
			return &d.jobs[i]
		}
	}
	panic("maxJobs is too small")
}

// busy counts the places that are taken at the desk.
func (d desk) busy() (n int) {
	for i := range d.jobs {
		if d.jobs[i].command > 0 && !d.jobs[i].held {
			n++
		}
	}
	return n
}

// take puts a command on the desk.
func (d desk) take(c uint8) {
	d.next = c + 1
	j := d.add(job{command: c + 1})
	user := d.userOf(j)
	known := d.ledger(user)
	d.decide(known, j)
	d.settle(known, user)
	d.mark()
}

// decide gives a job its record, on top of its stream's stack, and sends it. A
// command that has its outcome, or will have it by another job, gets none.
func (d desk) decide(known *stream, j *job) {
	c := j.command - 1
	j.record, j.failed, j.acked = 0, false, false
	if d.settled(known, j) {
		return
	}
	top := *known
	for _, earlier := range d.stack(d.userOf(j)) {
		if earlier == j {
			break
		}
		if earlier.record == 0 {
			continue
		}
		if d.commands[earlier.command-1].id == d.commands[c].id {
			return
		}
		if d.accepts(&top, earlier.record) {
			d.fold(&top, earlier.record, d.binary)
		}
	}
	from := &top
	if d.off(stacking) {
		from = known
	}
	r := record{user: d.userOf(j), command: c, seq: top.seq + 1, prev: top.head, version: top.version}
	if j.held {
		r.kind, r.name = d.resumed(from, from.held.items[0], d.binary)
	} else {
		r.kind, r.name = d.outcome(from, c, d.binary)
	}
	if r.kind.event() {
		r.version++
	}
	if d.off(purity) {
		d.ticks++
		r.salt = d.ticks
	}
	j.record = d.digest(r)
	d.note("%s decides #%d: %s", d.name(), c, d.describe(j.record))
	if d.retry {
		j.failed = true // behind those that failed: it goes with them
		return
	}
	d.send(j.record)
}

// settled says whether the ledger knows how a job's command ended.
func (d desk) settled(known *stream, j *job) bool {
	if j.held {
		return known.parked || !known.holds(j.command-1)
	}
	return d.ended(known, j.command-1)
}

func (d desk) send(r digest) {
	if d.sent != nil {
		d.sent(r)
	}
	d.launch(flight{r, flying})
}

func (d desk) launch(f flight) {
	for i := range d.air {
		if d.air[i].record == 0 {
			d.air[i] = f
			return
		}
	}
	panic("maxAir is too small")
}

// readBack folds the next record.
func (d desk) readBack() {
	d.folded = d.after(d.folded, d.log)
	r := d.entries[d.folded].record
	user := d.records[r].user
	known := d.ledger(user)
	d.note("%s reads %s", d.name(), d.describe(r))
	stack := d.stack(user)
	if len(stack) > 0 && stack[0].record != r {
		d.overtaken(known, stack)
	}
	d.settle(known, user)
	d.resume(known, user)
	d.mark()
}

// overtaken drops what no longer stacks, for somebody else took the slot, and
// decides again from the first.
func (d desk) overtaken(known *stream, stack []*job) {
	switch {
	case d.off(redecide):
		return
	case d.off(redecideAll):
		stack = stack[:1]
	case d.off(ownRecord):
		stack[0].done = true
		stack = stack[1:]
	}
	for _, j := range stack {
		d.decide(known, j)
	}
}

// settle takes the jobs off a stack whose commands have their outcome.
func (d desk) settle(known *stream, user uint8) {
	failed := false
	for _, j := range d.stack(user) {
		j.failed = j.failed || failed && !d.off(retryBehind)
		if again := j.record == 0 && !j.held && !d.off(repetitions); !again && !d.settled(known, j) {
			return
		}
		failed = j.failed
		*j = job{command: j.command, held: j.held, done: true}
	}
}

// resume decides a stream's first held command, if it may go on.
func (d desk) resume(known *stream, user uint8) {
	if !known.resuming() {
		return
	}
	for _, j := range d.stack(user) {
		if j.held {
			return
		}
	}
	d.decide(known, d.add(job{command: known.held.items[0].command + 1, held: true}))
}

// mark moves the session's mark behind the jobs that are done, up to the
// first that isn't.
func (d desk) mark() {
	rest := [maxJobs]job{}
	kept := 0
	for _, j := range d.jobs {
		switch {
		case j.command == 0, j.held && j.done:
		case j.done && kept == heldIn(rest[:kept]):
			d.marked = j.command
		default:
			rest[kept] = j
			kept++
		}
	}
	d.jobs = rest
	if d.off(markReadBack) {
		for _, j := range d.jobs {
			if j.command == 0 || !j.held && !j.acked && !j.done {
				break
			}
			if !j.held {
				d.marked = j.command
			}
		}
	}
}

func heldIn(jobs []job) (n int) {
	for _, j := range jobs {
		if j.held {
			n++
		}
	}
	return n
}

// heardOf is told that Kafka holds a record.
func (d desk) heardOf(r digest) {
	if d.off(tellReadBack) {
		d.tell(r)
	}
	if !d.off(markReadBack) {
		return
	}
	for i := range d.jobs {
		if d.jobs[i].record == r {
			d.jobs[i].acked = true
		}
	}
	d.mark()
}

// appendFailed is told that Kafka may hold a record, or not. What is stacked
// on it may have reached the log before it, for nothing, so that goes again
// even if the record itself turns out to count.
func (d desk) appendFailed(r digest) {
	user := d.records[r].user
	stack := d.stack(user)
	at := slices.IndexFunc(stack, func(j *job) bool { return j.record == r })
	switch {
	case len(stack) == 0:
	case at < 0 && (d.off(retryBehind) || !d.contains(d.folded, r)):
	case d.off(retry):
		known := d.ledger(user)
		if at >= 0 {
			*stack[at] = job{command: stack[at].command, held: stack[at].held, done: true}
		}
		for _, j := range d.stack(user) {
			d.decide(known, j)
		}
		d.mark()
	default:
		stack[max(at, 0)].failed = true
		d.retry = true
	}
}

// sendAgain sends what failed and what is stacked on it.
func (d desk) sendAgain() {
	d.retry = false
	for user := range uint8(users) {
		again := false
		for _, j := range d.stack(user) {
			again = again && !d.off(retryStacked) || j.failed
			if again && j.record > 0 {
				j.failed = false
				d.send(j.record)
			}
		}
	}
}

// claim begins a session: the group has handed over the partition.
func (d desk) claim() {
	d.letGo()
	d.owner = d.who + 1
	d.claimed, d.handler.topic = true, d.world.topic
	d.next, d.marked = d.committed, d.committed
	if !d.off(foldFirst) {
		d.folded = d.log
	}
	for user := range uint8(users) {
		known := d.ledger(user)
		d.resume(known, user)
	}
}

// letGo ends a session. What is in the air stays there.
func (d desk) letGo() {
	*d.handler = handler{folded: d.folded, air: d.air}
	for i := range d.air {
		if d.air[i].state == failed {
			d.air[i] = flight{}
		} else if d.air[i].record > 0 {
			d.air[i].state = astray
		}
	}
}

func (d desk) name() string { return string(rune('A' + d.who)) }
