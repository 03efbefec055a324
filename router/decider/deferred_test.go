package decider

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// slowLog lands an append only when it is told to.
type slowLog struct {
	*fakeLog
	waiting []func()
}

func (l *slowLog) append(r *eventlog.Record, delivered func(error)) {
	l.waiting = append(l.waiting, func() { l.fakeLog.append(r, delivered) })
}

// land lands the oldest append, and has the ledger read it.
func (l *slowLog) land(pt *partition) {
	next := l.waiting[0]
	l.waiting = l.waiting[1:]
	next()
	pt.fold(l.records[len(l.records)-1:], slog.New(slog.DiscardHandler))
}

// slowProcessor is a desk that has the partition, on a log that is told when to
// land what.
func slowProcessor(t *testing.T, remember int) (*processor, *slowLog) {
	t.Helper()
	log := &slowLog{fakeLog: newFakeLog()}
	states := NewStateStore(log, registry, 1, remember, slog.New(slog.DiscardHandler))
	return slowProcessorOn(t, states, log), log
}

func slowProcessorOn(t *testing.T, states *StateStore, log *slowLog) *processor {
	t.Helper()
	pt := states.partitions[0]
	pt.fold(log.records, slog.New(slog.DiscardHandler))
	pt.processor = newProcessor(kafka.NewClaim(t.Context(), 0, func(int64) {}), "topic", pt, log.append, slog.New(slog.DiscardHandler))
	pt.processor.resumeAll()
	return pt.processor
}

// landAll lands all that the desk has appended, and appends meanwhile.
func (l *slowLog) landAll(pt *partition) {
	for len(l.waiting) > 0 {
		l.land(pt)
	}
}

func (l *slowLog) take(t *testing.T, p *processor, commands ...eventlog.Envelope) {
	t.Helper()
	(&service{t: t, processor: p}).take(commands...)
}

// Held commands that go on stack on each other and on the requeue, up to a
// bound; each stream may have one all the same.
func TestDeferredCommandsAreDecidedTogether(t *testing.T) {
	mended := withBrokenRule(t)
	p, log := slowProcessor(t, 128)
	tp, pt := new(topic), p.state
	for _, user := range []string{"u", "v"} {
		log.take(t, p, tp.command("createUser", user, "Ann", user+"0"), tp.command("breakUser", user, "Bob", user+"1"))
		for n := range 5 {
			log.take(t, p, tp.command("renameUser", user, fmt.Sprint("Name ", n), fmt.Sprint(user, n+2)))
		}
	}
	log.landAll(pt)
	*mended, p.maxDeferred = true, 4
	log.take(t, p, tp.command("requeueParked", "u", "", "ur"), tp.command("requeueParked", "v", "", "vr"))
	inFlight := func(want ...int) {
		t.Helper()
		if got := []int{len(p.speculations["user/u"].jobs), len(p.speculations["user/v"].jobs), p.deferred}; !slices.Equal(got, want) {
			t.Errorf("under way are %d of u, %d of v, %d that were held; want %v", got[0], got[1], got[2], want)
		}
	}
	inFlight(1+4, 1+1, 5)
	log.take(t, p, tp.command("renameUser", "u", "Last", "last")) // behind two that are held still
	log.land(pt)                                                  // the requeue of u
	inFlight(5, 2, 5)
	for len(p.speculations) > 0 {
		log.land(pt)
		if p.deferred > p.maxDeferred+1 {
			t.Fatalf("%d held commands go on at a time", p.deferred)
		}
	}
	if p.deferred != 0 || len(log.waiting) != 0 {
		t.Errorf("in the end %d held commands go on, and %d appends wait", p.deferred, len(log.waiting))
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

// One that is parked again stops those behind it.
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
	log.landAll(p.state)
	want := "[userCreated 0 commandParked 1 commandQueued 2 commandQueued 3 commandQueued 4 " +
		"parkedDropped d1 commandRefused 1 userRenamed 2 commandParked 3 commandQueued 5 " +
		"parkedDropped d3 commandRefused 3 userRenamed 4 userRenamed 5]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	checkOnce(t, log)
}

// When somebody else takes a slot, those that stack on it are decided again,
// without what has gone on elsewhere.
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
	log.landAll(ours.state)
	theirs := &slowLog{fakeLog: log.fakeLog}
	rival := slowProcessorOn(t, NewStateStore(theirs, registry, 1, 128, slog.New(slog.DiscardHandler)), theirs)

	*mended = true
	requeue, last := tp.command("requeueParked", "u", "", "r"), tp.command("renameUser", "u", "Eve", "4")
	log.take(t, ours, requeue, last)
	*mended = false // the rival is an older binary
	theirs.take(t, rival, requeue)
	theirs.land(rival.state) // the requeue
	theirs.land(rival.state) // 1 is parked again
	for _, r := range log.records[len(log.records)-2:] {
		ours.state.fold([]eventlog.Record{r}, slog.New(slog.DiscardHandler))
	}
	if n := ours.deferred; n != 0 {
		t.Errorf("%d held commands go on, which are parked", n)
	}
	again := tp.command("requeueParked", "u", "", "r2")
	*mended = true
	log.take(t, ours, again)
	log.landAll(ours.state)
	want := "[userCreated 0 commandParked 1 commandQueued 2 commandQueued 3 parkedRequeued r commandParked 1 " +
		"commandQueued 4 parkedRequeued r2 userRenamed 1 userRenamed 2 userRenamed 3 userRenamed 4]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(ours.speculations) != 0 || len(ours.queue) != 0 || ours.deferred != 0 {
		t.Errorf("left at the desk are %d stacks, %d commands, %d held ones", len(ours.speculations), len(ours.queue), ours.deferred)
	}
}

// What fails goes again with all the held commands that stack on it.
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
