package protocol

import "slices"

// MaxHeld bounds the held commands that go on at a desk at a time. Each user
// may have one.
const MaxHeld = 2

const (
	maxJobs = 7  // at a desk: the window, and the held commands that go on
	maxAir  = 24 // appends of a handler whose end is not known
)

// handler is one command service: its ledger, and the desk for the partition
// if it has claimed it, or still believes so. Its ledger is the fold of the log
// as far as it has read.
type handler struct {
	folded  log
	claimed bool
	topic   uint8 // the session's
	next    uint8 // the command that is delivered next
	marked  uint8 // all commands before are done
	strayed bool
	retry   bool // appends have failed and are to be sent again
	jobs    [maxJobs]job
	air     [maxAir]flight
}

// job is a command at the desk.
type job struct {
	record  digest // 0 if it needs none
	command uint8  // its place in the scenario and one more, 0 for no job
	held    bool   // it comes from the stream's held commands
	failed  bool   // the append failed, or waits behind one that did
	done    bool
}

// flight is an append whose end is not known.
type flight struct {
	record digest
	state  state
}

type state uint16 // no padding: worlds are hashed, and that takes most of the time

const (
	flying state = iota // it lands after those before it
	failed              // the handler is about to hear that it failed
	astray              // nobody waits for it; it lands at any time, or never
)

// desk is a handler at work in a world.
type desk struct {
	*model
	*world
	*handler
	who    uint8
	binary *Binary
}

func (m *model) desk(w *world, who uint8) desk {
	return desk{m, w, &w.handlers[who], who, &m.Handlers[who]}
}

// ledger is a user as this handler knows it.
func (d desk) ledger(user uint8) *stream { return &d.entries[d.folded].streams[d.who][user] }

func (d desk) userOf(j *job) uint8 { return d.Commands[j.command-1].User }

// stack is the jobs of a user that are under way, in order.
func (d desk) stack(user uint8) []*job {
	jobs := make([]*job, 0, maxJobs)
	for i := range d.jobs {
		if j := &d.jobs[i]; j.command > 0 && !j.done && d.userOf(j) == user {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (d desk) add(j job) *job {
	i := slices.IndexFunc(d.jobs[:], func(j job) bool { return j.command == 0 })
	d.jobs[i] = j
	return &d.jobs[i]
}

// places counts those that are taken at the desk.
func (d desk) places() (n int) {
	for i := range d.jobs {
		if d.jobs[i].command > 0 && !d.jobs[i].held {
			n++
		}
	}
	return n
}

// take puts a command on the desk.
func (d desk) take(command uint8) {
	d.next = command + 1
	j := d.add(job{command: command + 1})
	user := d.userOf(j)
	d.decide(j)
	d.settle(user)
	d.resume(user)
	d.mark()
}

// decide gives a job its record, on top of its stream's stack, and sends it. A
// command that has its outcome there gets none, nor does a held one that isn't
// the next to go on.
func (d desk) decide(j *job) {
	user, command := d.userOf(j), j.command-1
	j.record, j.failed = 0, false
	top := d.top(user, j)
	switch {
	case j.held && top.resumes(command), j.held && d.off(heldInTurn):
	case j.held, d.repeats(&top, j):
		return
	}
	from := &top
	if d.off(stacking) && !j.held {
		from = d.ledger(user)
	}
	r := record{user: user, command: command, seq: top.seq + 1, prev: top.head, version: top.version}
	if j.held {
		r.kind, r.name = d.resumed(from, command, d.binary)
	} else {
		r.kind, r.name = d.outcome(from, command, d.binary)
	}
	if r.kind.event() {
		r.version++
	}
	if d.off(purity) {
		d.ticks++
		r.salt = d.ticks
	}
	j.record = d.digest(r)
	d.note("%s decides #%d: %v", d.name(), command, j.record)
	if d.retry {
		j.failed = true // behind those that failed: it goes with them
		return
	}
	d.send(j.record)
}

// top is a user with all that is stacked below a job, or all there is.
func (d desk) top(user uint8, below *job) stream {
	top := *d.ledger(user)
	for _, j := range d.stack(user) {
		if j == below {
			break
		}
		if j.record > 0 && d.accepts(&top, j.record) {
			d.fold(&top, j.record, d.binary)
		}
	}
	return top
}

// repeats says whether a command has its outcome when its turn comes.
func (d desk) repeats(top *stream, j *job) bool {
	if !d.off(repetition) {
		return d.known(top, j.command-1)
	}
	// As far as the ledger happens to have come.
	id, user := d.Commands[j.command-1].ID, d.userOf(j)
	return d.known(d.ledger(user), j.command-1) || slices.ContainsFunc(d.stack(user), func(other *job) bool {
		return other != j && other.record > 0 && d.Commands[other.command-1].ID == id
	})
}

// settled says whether the ledger knows how a job's command ended.
func (d desk) settled(known *stream, j *job) bool {
	if j.held {
		return !known.resumes(j.command - 1)
	}
	return d.known(known, j.command-1) || j.record == 0 && d.off(repetition)
}

func (d desk) send(r digest) {
	if d.sent != nil {
		d.sent(r)
	}
	d.launch(flight{r, flying})
}

func (d desk) launch(f flight) {
	free := slices.IndexFunc(d.air[:], func(f flight) bool { return f.record == 0 })
	d.air[free] = f // if there is none, maxAir is too small
}

// readBack folds the next record.
func (d desk) readBack() {
	d.folded = d.after(d.folded, d.log)
	r := d.entries[d.folded].record
	user := d.records[r].user
	d.note("%s reads %v", d.name(), r)
	if stack := d.stack(user); len(stack) > 0 && stack[0].record != r {
		d.overtaken(stack)
	}
	d.settle(user)
	d.resume(user)
	d.mark()
}

// overtaken drops what no longer stacks, for somebody else took the slot, and
// decides again from the first.
func (d desk) overtaken(stack []*job) {
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
		if d.decide(j); j.held && j.record == 0 {
			*j = job{command: j.command, held: true, done: true}
		}
	}
}

// settle takes the jobs off a stack whose commands have their outcome.
func (d desk) settle(user uint8) {
	behind := false
	for _, j := range d.stack(user) {
		j.failed = j.failed || behind && !d.off(retryBehind)
		if !d.settled(d.ledger(user), j) {
			return
		}
		behind = j.failed
		*j = job{command: j.command, held: j.held, done: true}
	}
}

// resume decides a stream's held commands that may go on, each on top of the
// one before. One that is parked again stops the rest.
func (d desk) resume(user uint8) {
	for {
		next, any := d.nextHeld(user)
		if !any {
			return
		}
		d.decide(d.add(job{command: next + 1, held: true}))
	}
}

// nextHeld is the held command that goes on next, if there is one, and room
// for it.
func (d desk) nextHeld(user uint8) (command uint8, any bool) {
	room, own := MaxHeld, 0
	for i := range d.jobs {
		if j := &d.jobs[i]; j.held && !j.done {
			room--
			if d.userOf(j) == user {
				own++
			}
		}
	}
	if room <= 0 && own > 0 {
		return 0, false
	}
	if known := d.ledger(user); d.off(heldInTurn) && known.resuming() {
		if own < int(known.held.n) {
			return known.held.items[own].command, true
		}
		return 0, false
	}
	top := d.top(user, nil)
	return top.held.items[0].command, top.resuming()
}

// mark moves the session's mark behind the jobs that are done, up to the
// first that isn't, and takes those off the desk.
func (d desk) mark() {
	jobs, first := d.jobs, true
	d.jobs = [maxJobs]job{}
	for _, j := range jobs {
		switch {
		case j.command == 0:
			return
		case j.held && j.done:
			continue
		case j.held:
		case first && j.done:
			d.marked = j.command
			continue
		case first && d.off(markReadBack) && d.acked(&j):
			d.marked = j.command
		default:
			first = false
		}
		d.add(j)
	}
}

// acked says whether the handler was told that Kafka holds a job's record.
func (d desk) acked(j *job) bool {
	return j.record > 0 && !j.failed && !slices.ContainsFunc(d.air[:], func(f flight) bool {
		return f.record == j.record && f.state != astray
	})
}

// delivered is told that Kafka holds a record. In a sound protocol that is
// nothing to go by.
func (d desk) delivered(r digest) {
	if d.off(tellReadBack) {
		d.tell(r)
	}
	if d.off(markReadBack) {
		d.mark()
	}
}

// appendFailed is told that Kafka may hold a record, or not. What is stacked
// on it may have come to the log before it, and counts for nothing then: that
// goes again even if the record itself turns out to count.
func (d desk) appendFailed(r digest) {
	user := d.records[r].user
	stack := d.stack(user)
	at := slices.IndexFunc(stack, func(j *job) bool { return j.record == r })
	switch {
	case len(stack) == 0, at < 0 && !d.contains(d.folded, r):
	case at < 0 && d.off(retryBehind):
	case at >= 0 && d.off(retry):
		stack[at].done = true
		for _, j := range slices.Delete(stack, at, at+1) {
			d.decide(j)
		}
		d.mark()
	default:
		stack[max(at, 0)].failed = true
		d.retry = true
	}
}

// sendAgain sends what failed, and what is stacked on it.
func (d desk) sendAgain() {
	d.retry = false
	for user := range uint8(users) {
		again := false
		for _, j := range d.stack(user) {
			again = j.failed || again && !d.off(retryStacked)
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
		d.resume(user)
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
