package reactions

import (
	"slices"

	"github.com/millrace/millrace/testing/protocol/fence"
)

const (
	maxJobs = 3 // commands of a process that are not acknowledged
	maxLate = 3
)

// process is a command service that runs the reaction.
type process struct {
	known   point // the reaction's stream, as far as the process has read
	running bool
	next    uint8               // the next cause, of any stream that isn't open
	from    [causeStreams]uint8 // the next cause of each stream that goes on
	begun   uint8               // where the process began to read topic events
	jobs    [maxJobs]job
	note    note // on its way to the reaction's stream
}

// job is a command that Kafka has not acknowledged.
type job struct {
	command
	state jobState
}

type jobState uint8

const (
	waiting jobState = iota // for the commands before
	flying
	failed
)

// runner is a process at work in a world.
type runner struct {
	*model
	*world
	*process
	who uint8
}

func (m *model) runner(w *world, who uint8) runner { return runner{m, w, &w.processes[who], who} }

func (r runner) checkpoint() checkpoint { return r.points[r.known].checkpoint }

func (r runner) name() string { return string(rune('A' + r.who)) }

// counts reports whether a process takes a record for one that counts.
func (r runner) counts(cause uint8) bool {
	c := &r.Causes[cause]
	switch {
	case r.off(gated):
		return true
	case r.off(folded): // the gate with today's head, which only the last record has
		return !slices.ContainsFunc(r.Causes[cause+1:], func(later Cause) bool { return later.Stream == c.Stream })
	case r.off(fromHeads): // of equal digests the first since the process began to read
		return c.Copy == 0 || c.Copy-1 < r.begun
	default:
		return c.Copy == 0
	}
}

// begin starts a process: the group has assigned the partition.
func (r runner) begin(next uint8) {
	*r.process = process{running: true}
	if !r.off(foldFirst) {
		r.known = r.point
	}
	c := r.checkpoint()
	r.next = max(c.next, next)
	if r.off(fromHeads) {
		r.begun = r.next
	}
	for s, o := range c.open {
		r.from[s] = o.from
	}
	r.owner = r.who + 1
}

// stop ends a process. What is under way may land, at any time.
func (r runner) stop() {
	for _, j := range r.jobs {
		if j.place > 0 && j.state == flying {
			r.belate(j.command)
		}
	}
	if r.note.kind > none {
		r.belateNote(r.note)
	}
	*r.process = process{}
}

// open returns a bit for each open cause stream.
func (r runner) open() (open uint8) {
	for s, o := range r.checkpoint().open {
		if o.state == parked || o.state == goingOn && !r.off(namedUntil) {
			open |= fence.Bit(uint8(s))
		}
	}
	return open
}

// waits reports whether a cause is not the next of the main flow, because its
// stream is open.
func (r runner) waits(cause uint8) bool {
	o := r.checkpoint().open[r.Causes[cause].Stream]
	return o.state != closed && cause >= o.from
}

// nextOf is the next cause of a stream that goes on, or the process's next
// cause if there is none before.
func (r runner) nextOf(stream uint8) uint8 {
	for c := r.from[stream]; c < r.next; c++ {
		if r.Causes[c].Stream == stream && r.counts(c) {
			return c
		}
	}
	return r.next
}

// room reports whether a cause's commands have room.
func (r runner) room() bool { return r.jobs[maxJobs-maxCommands].place == 0 }

// answer decides a cause, and sends the commands.
func (r runner) answer(cause uint8) {
	c := &r.Causes[cause]
	open := r.open()
	if r.off(named) {
		open = 0
	}
	for n, target := range c.Targets {
		if target > 0 {
			r.jobs[r.length()] = job{command: command{placeOf(cause, uint8(n)), open, target - 1}}
		}
	}
	r.send()
}

func (r runner) length() int {
	for i := range r.jobs {
		if r.jobs[i].place == 0 {
			return i
		}
	}
	return maxJobs
}

// send sends the commands whose turn it is.
func (r runner) send() {
	var busy [targets]bool
	for i := range r.jobs[:r.length()] {
		j := &r.jobs[i]
		if j.state == waiting && (!busy[j.target] || r.off(inTurn)) {
			j.state = flying
		}
		busy[j.target] = true
	}
}

// drop takes a command away.
func (r runner) drop(i uint8) {
	copy(r.jobs[i:], r.jobs[i+1:])
	r.jobs[maxJobs-1] = job{}
}

// progress is a note of all that is answered.
func (r runner) progress() note {
	c := r.checkpoint()
	n := note{kind: progress, version: c.version + 1, cause: r.next}
	for s, o := range c.open {
		if o.state == goingOn {
			n.from[s] = r.nextOf(uint8(s))
		}
	}
	if r.off(answered) {
		return n
	}
	for _, j := range r.jobs[:r.length()] {
		if s := r.Causes[causeOf(j.place)].Stream; c.open[s].state == goingOn && causeOf(j.place) >= c.open[s].from {
			n.from[s] = min(n.from[s], causeOf(j.place))
		} else {
			n.cause = min(n.cause, causeOf(j.place))
		}
	}
	return n
}

// read folds the next record of the reaction's stream.
func (r runner) read() {
	before := r.checkpoint()
	r.known = r.after(r.known, r.point)
	now := r.checkpoint()
	r.say("%s reads version %d of the reaction's stream", r.name(), now.version)
	if !before.started {
		r.next = max(r.next, now.next)
	}
	for s := range now.open {
		was, is := before.open[s], now.open[s]
		switch {
		case was.state != closed && is.state == closed && !r.off(goBack):
			r.next = min(r.next, now.next)
			if r.off(fromHeads) {
				r.begun = min(r.begun, r.next)
			}
		case was.state == goingOn && is.state == goingOn:
			r.from[s] = max(r.from[s], is.from)
		case was != is:
			r.from[s] = is.from
		}
	}
}
