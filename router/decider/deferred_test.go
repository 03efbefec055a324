package decider

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// slowLog lands an append only when a test calls land.
type slowLog struct {
	*fakeLog
	waiting []func()
}

func (l *slowLog) append(r *eventlog.Record, delivered func(error)) {
	l.waiting = append(l.waiting, func() { l.fakeLog.append(r, delivered) })
}

// land lands the oldest append, and lets the processor fold the record.
func (l *slowLog) land(p *processor) {
	next := l.waiting[0]
	l.waiting = l.waiting[1:]
	next()
	noError(p.fold(l.records[len(l.records)-1:]))
}

// slowProcessor returns a processor with an assignment, on a slow log.
func slowProcessor(t *testing.T, remember int) (*processor, *slowLog) {
	t.Helper()
	log := &slowLog{fakeLog: newFakeLog()}
	states := NewStateStore(log, registry, 1, remember, slog.New(slog.DiscardHandler))
	return slowProcessorOn(t, states, log), log
}

func slowProcessorOn(t *testing.T, states *StateStore, log *slowLog) *processor {
	t.Helper()
	p := states.processors[0]
	noError(p.fold(log.records))
	noError(p.assign(newAssigned(kafka.NewAssignment(t.Context(), 0, func(int64) {}), "topic", log.append)))
	return p
}

// landAll lands all appends, with the appends that follow.
func (l *slowLog) landAll(p *processor) {
	for len(l.waiting) > 0 {
		l.land(p)
	}
}

func (l *slowLog) take(t *testing.T, p *processor, commands ...eventlog.Envelope) {
	t.Helper()
	(&service{t: t, processor: p, assigned: p.assigned}).take(commands...)
}

// Deferred commands execute on top of each other and of the requeue, up to a
// bound; each stream may have one in any case.
func TestDeferredCommandsAreDecidedTogether(t *testing.T) {
	mended := withBrokenRule(t)
	p, log := slowProcessor(t, 128)
	tp, c := new(topic), p.assigned
	for _, user := range []string{"u", "v"} {
		log.take(t, p, tp.command("createUser", user, "Ann", user+"0"), tp.command("breakUser", user, "Bob", user+"1"))
		for n := range 5 {
			log.take(t, p, tp.command("renameUser", user, fmt.Sprint("Name ", n), fmt.Sprint(user, n+2)))
		}
	}
	log.landAll(p)
	*mended, c.maxDeferred = true, 4
	log.take(t, p, tp.command("requeueParked", "u", "", "ur"), tp.command("requeueParked", "v", "", "vr"))
	inFlight := func(want ...int) {
		t.Helper()
		if got := []int{len(c.speculations["user/u"].jobs), len(c.speculations["user/v"].jobs), c.deferred}; !slices.Equal(got, want) {
			t.Errorf("under way are %d of u, %d of v, %d deferred; want %v", got[0], got[1], got[2], want)
		}
	}
	inFlight(1+4, 1+1, 5)
	log.take(t, p, tp.command("renameUser", "u", "Last", "last")) // behind two deferred commands
	log.land(p)                                                   // the requeue of u
	inFlight(5, 2, 5)
	for len(c.speculations) > 0 {
		log.land(p)
		if c.deferred > c.maxDeferred+1 {
			t.Fatalf("%d deferred commands go on at a time", c.deferred)
		}
	}
	if c.deferred != 0 || len(log.waiting) != 0 {
		t.Errorf("in the end %d deferred commands go on, and %d appends wait", c.deferred, len(log.waiting))
	}
	got := typesOf(log.accepted()["user/u"])
	i := slices.Index(got, "parkedRequeued ur")
	want := "[userRenamed u1 userRenamed u2 userRenamed u3 userRenamed u4 commandQueued last userRenamed u5 userRenamed u6 userRenamed last]"
	if text := fmt.Sprint(got[i+1:]); text != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	checkOnce(t, log)
}

// checkOnce fails if anything was appended in vain.
func checkOnce(t *testing.T, log *slowLog) {
	t.Helper()
	n := 0
	for _, of := range log.accepted() {
		n += len(of)
	}
	if n != len(log.records) {
		t.Errorf("%d of %d records count", n, len(log.records))
	}
}

// A deferred command that is parked again stops the commands behind.
func TestDeferredCommandParkedAgainStopsTheRest(t *testing.T) {
	withBrokenRule(t)
	p, log := slowProcessor(t, 128)
	tp := new(topic)
	drop := func(id, which string) eventlog.Envelope {
		c := tp.command("dropParked", "u", "", id)
		c.Body = fmt.Appendf(nil, `{"stream":"user/u","commandId":%q}`, which)
		return c
	}
	log.take(t, p,
		tp.command("createUser", "u", "Ann", "0"),
		tp.command("breakUser", "u", "Bob", "1"),
		tp.command("renameUser", "u", "Cat", "2"),
		tp.command("breakUser", "u", "Dan", "3"),
		tp.command("renameUser", "u", "Eve", "4"),
		drop("d1", "1"),
		tp.command("renameUser", "u", "Fay", "5"),
		drop("d3", "3"),
	)
	log.landAll(p)
	want := "[userCreated 0 commandParked 1 commandQueued 2 commandQueued 3 commandQueued 4 " +
		"parkedDropped d1 commandRefused 1 userRenamed 2 commandParked 3 commandQueued 5 " +
		"parkedDropped d3 commandRefused 3 userRenamed 4 userRenamed 5]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	checkOnce(t, log)
}

// When another writer takes a sequence number, the deferred commands on top are
// executed again, without commands that have ended elsewhere.
func TestDeferredCommandsFallTogether(t *testing.T) {
	mended := withBrokenRule(t)
	ours, log := slowProcessor(t, 128)
	tp := new(topic)
	log.take(t, ours,
		tp.command("createUser", "u", "Ann", "0"),
		tp.command("breakUser", "u", "Bob", "1"),
		tp.command("breakUser", "u", "Cat", "2"),
		tp.command("renameUser", "u", "Dan", "3"),
	)
	log.landAll(ours)
	theirs := &slowLog{fakeLog: log.fakeLog}
	rival := slowProcessorOn(t, NewStateStore(theirs, registry, 1, 128, slog.New(slog.DiscardHandler)), theirs)

	*mended = true
	requeue, last := tp.command("requeueParked", "u", "", "r"), tp.command("renameUser", "u", "Eve", "4")
	log.take(t, ours, requeue, last)
	*mended = false // the rival is an older binary
	theirs.take(t, rival, requeue)
	theirs.land(rival) // the requeue
	theirs.land(rival) // 1 is parked again
	for _, r := range log.records[len(log.records)-2:] {
		noError(ours.fold([]eventlog.Record{r}))
	}
	if n := ours.assigned.deferred; n != 0 {
		t.Errorf("%d deferred commands go on, and are parked", n)
	}
	again := tp.command("requeueParked", "u", "", "r2")
	*mended = true
	log.take(t, ours, again)
	log.landAll(ours)
	want := "[userCreated 0 commandParked 1 commandQueued 2 commandQueued 3 parkedRequeued r commandParked 1 " +
		"commandQueued 4 parkedRequeued r2 userRenamed 1 userRenamed 2 userRenamed 3 userRenamed 4]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c := ours.assigned; len(c.speculations) != 0 || len(c.queue) != 0 || c.deferred != 0 {
		t.Errorf("left under way are %d speculations, %d commands, %d deferred commands", len(c.speculations), len(c.queue), c.deferred)
	}
}

// After a failed append, the records of all deferred commands on top are sent
// again.
func TestDeferredCommandsAreSentAgain(t *testing.T) {
	mended := withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)
	*mended = true
	s, n := serve(t, log), 0
	log.fate = func() fate {
		if n++; n%2 == 1 && n < 8 {
			return fails
		}
		return lands
	}
	s.take(tp.command("requeueParked", "u", "", "r"), tp.command("renameUser", "u", "Eve", "5"))
	s.drain()
	got := typesOf(awaitRecords(t, log, "user/u", 9))
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4 parkedRequeued r userRenamed 2 userRenamed 3 userRenamed 4 userRenamed 5]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
