package decider

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// later makes a command wait for a time after its acceptance.
func later(c eventlog.Envelope, wait time.Duration) eventlog.Envelope {
	c.NotBefore = c.Time.Add(wait)
	return c
}

func (tp *topic) cancel(user, commandID, id string) eventlog.Envelope {
	c := tp.command(TypeCancelScheduled, user, "", id)
	c.Body = fmt.Appendf(nil, `{"stream":"user/%s","commandId":%q}`, user, commandID)
	return c
}

// story is a stream's records that count, each as id, type and the seconds of the
// time.
func story(log *fakeLog, stream string) (lines []string) {
	for _, r := range log.accepted()[stream] {
		lines = append(lines, fmt.Sprintf("%s %s %d", r.CommandID, r.Type, r.Time.Unix()))
	}
	return lines
}

// clocked is a service on a clock that the test sets, in seconds.
type clocked struct {
	*service
	t     *testing.T
	log   *fakeLog
	topic *topic
	clock *time.Time
}

func serveClocked(t *testing.T) clocked {
	t.Helper()
	log := newFakeLog()
	s := serve(t, log)
	clock := time.Unix(0, 0)
	s.processor.mu.Lock()
	s.processor.now = func() time.Time { return clock }
	s.processor.mu.Unlock()
	return clocked{s, t, log, new(topic), &clock}
}

// at sets the clock, and waits until the service has nothing to do.
func (c clocked) at(seconds int64) {
	c.t.Helper()
	synctest.Wait()
	c.processor.mu.Lock()
	*c.clock = time.Unix(seconds, 0)
	c.processor.mu.Unlock()
	time.Sleep(3 * lookEvery)
	synctest.Wait()
}

func (c clocked) wants(stream string, want ...string) {
	c.t.Helper()
	if diff := cmp.Diff(want, story(c.log, stream)); diff != "" {
		c.t.Fatal("(-want +got)\n" + diff)
	}
}

func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		tp := c.topic
		c.take(
			tp.command("createUser", "u", "Ann", "create"),
			later(tp.command("renameUser", "u", "Cee", "second"), 20*time.Second),
			later(tp.command("renameUser", "u", "Bea", "first"), 10*time.Second),
			later(tp.command("renameUser", "u", "Dee", "third"), 20*time.Second-time.Millisecond*2), // of the same time as second
			tp.command("renameUser", "u", "Eve", "now"),
		)
		c.at(9)
		scheduled := []string{
			"create userCreated 0", "second commandScheduled 0", "first commandScheduled 0", "third commandScheduled 0", "now userRenamed 0",
		}
		c.wants("user/u", scheduled...)
		o, ok := c.states.Outcome("user/u", "second")
		if want := (Outcome{CommandID: "second", Kind: Scheduled, Version: 1, Offset: 1, NotBefore: time.UnixMilli(20_001).UTC(), CommandHash: o.CommandHash}); !ok || o != want {
			t.Errorf("the outcome is %+v, want %+v", o, want)
		}
		if n := c.states.Stats().Scheduled; n != 3 {
			t.Errorf("%d commands are scheduled", n)
		}
		c.at(10)
		c.wants("user/u", scheduled...) // a millisecond too early
		c.at(300)                       // the record's time is the command's, whatever the clock shows
		c.wants("user/u", slices.Concat(scheduled, []string{"first userRenamed 10", "second userRenamed 20", "third userRenamed 20"})...)
		if o, ok := c.states.Outcome("user/u", "third"); !ok || o.Kind != Succeeded || o.Version != 5 {
			t.Errorf("the outcome of the last is %+v", o)
		}
		if s := c.states.Stats(); s.Scheduled != 0 || s.Outcomes != 5 {
			t.Errorf("in the end: %+v", s)
		}
		c.drain()
	})
}

// A time that has passed at acceptance is no wait.
func TestLaterIsPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		past := c.topic.command("createUser", "u", "Ann", "1")
		past.Time = time.Unix(100, 0).UTC()
		same := past
		past.NotBefore = time.Unix(50, 0).UTC()
		same.Offset, same.ID, same.Stream, same.Body, same.NotBefore = 1, "2", "user/v", []byte(`{"id":"v","name":"Bob"}`), same.Time
		c.take(past, same)
		c.at(60) // the decider's clock may be behind the gateway's
		c.wants("user/u", "1 userCreated 100")
		c.wants("user/v", "2 userCreated 100")
	})
}

func TestCancelScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mended := withBrokenRule(t)
		c := serveClocked(t)
		tp := c.topic
		c.take(
			tp.command("createUser", "u", "Ann", "create"),
			later(tp.command("renameUser", "u", "Bea", "later"), 10*time.Second),
			tp.command("breakUser", "u", "Cee", "parked"), // a cancel doesn't wait behind a parked command
			tp.cancel("u", "other", "cancel-other"),
			tp.cancel("u", "later", "cancel"),
			tp.cancel("u", "later", "again"),
			later(tp.command("renameUser", "u", "Bea", "later"), 10*time.Second), // sent again
		)
		c.at(60)
		c.wants("user/u",
			"create userCreated 0", "later commandScheduled 0", "parked commandParked 0", "cancel-other commandRefused 0",
			"cancel scheduledCancelled 0", "later commandRefused 10", "again commandRefused 0")
		for id, slug := range map[string]string{"cancel-other": "not-scheduled", "again": "not-scheduled", "later": "command-cancelled"} {
			if o, ok := c.states.Outcome("user/u", id); !ok || o.Refusal == nil || o.Refusal.Slug != slug || o.Refusal.Kind != aggregate.Conflict {
				t.Errorf("the outcome of %s is %+v", id, o)
			}
		}
		*mended = true
	})
}

// A reaction doesn't know the ids of its commands, and cancels by type: only what
// the same reaction has sent.
func TestCancelByType(t *testing.T) {
	origin := func(reaction string, offset int64) *eventlog.Origin {
		return &eventlog.Origin{Reaction: reaction, Cause: eventlog.Cause{TopicID: "t", Offset: offset, N: 1}, Subject: "user/x", Depth: 1}
	}
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		tp := c.topic
		by := func(reaction string, offset int64, e eventlog.Envelope) eventlog.Envelope {
			e.Origin = origin(reaction, offset)
			e.ID = e.Origin.CommandID()
			return e
		}
		ours := by("ours", 1, later(tp.command("renameUser", "u", "Bea", ""), 10*time.Second))
		theirs := by("theirs", 1, later(tp.command("renameUser", "u", "Cee", ""), 5*time.Second))
		clients := later(tp.command("renameUser", "u", "Dee", "client"), time.Second)
		cancel := by("ours", 2, tp.command(TypeCancelScheduled, "u", "", ""))
		cancel.Body = []byte(`{"stream":"user/u","commandType":"renameUser"}`)
		again := cancel
		again = by("ours", 3, again)
		again.Offset++
		c.take(tp.command("createUser", "u", "Ann", "create"))
		tp.next--
		for i, e := range []eventlog.Envelope{ours, theirs, clients, cancel, again} {
			e.Offset = int64(i + 10)
			c.take(e)
		}
		c.at(60)
		lines := story(c.log, "user/u")
		for _, want := range []string{ours.ID + " commandRefused 10", theirs.ID + " userRenamed 5", "client userRenamed 1", again.ID + " commandRefused 0"} {
			if !slices.Contains(lines, want) {
				t.Errorf("no %s in:\n%s", want, strings.Join(lines, "\n"))
			}
		}
	})
}

// What only a reaction may say, and what says nothing, goes to the dead letters.
func TestCancelScheduledFromKafka(t *testing.T) {
	tp := new(topic)
	for body, right := range map[string]bool{
		`{"stream":"user/u","commandId":"a"}`:                        true,
		`{"stream":"user/u"}`:                                        false,
		`{"stream":"user/u","commandType":"renameUser"}`:             false,
		`{"stream":"user/u","commandId":"a","commandType":"rename"}`: false,
		`{"stream":"user/other","commandId":"a"}`:                    false,
	} {
		c := tp.cancel("u", "", "c")
		c.Body = []byte(body)
		if _, err := readCommand(registry, &c); undecodable(err) == right {
			t.Errorf("%s: %v", body, err)
		}
		c.NotBefore = c.Time.Add(time.Second)
		if _, err := readCommand(registry, &c); !undecodable(err) {
			t.Errorf("a %s with notBefore: %v", body, err)
		}
	}
	far := later(tp.command("createUser", "u", "Ann", "a"), 11*366*24*time.Hour)
	if _, err := readCommand(registry, &far); !undecodable(err) {
		t.Errorf("a time in eleven years: %v", err)
	}
}

// A due command queues behind a parked command, and expectedVersion is looked at
// when the command is due.
func TestDueBehindParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mended := withBrokenRule(t)
		c := serveClocked(t)
		tp := c.topic
		c.take(
			tp.command("createUser", "u", "Ann", "create"),
			tp.expecting(later(tp.command("renameUser", "u", "Bea", "expects-1"), 10*time.Second), 1),
			tp.expecting(later(tp.command("renameUser", "u", "Cee", "expects-2"), 10*time.Second), 2),
			tp.command("breakUser", "u", "Dee", "parked"),
		)
		c.at(60)
		c.wants("user/u", "create userCreated 0", "expects-1 commandScheduled 0", "expects-2 commandScheduled 0", "parked commandParked 0",
			"expects-1 commandQueued 10", "expects-2 commandQueued 10")
		*mended = true
		c.take(tp.command("requeueParked", "u", "", "requeue"))
		c.at(61)
		if got := story(c.log, "user/u")[6:]; !slices.Equal(got, []string{
			"requeue parkedRequeued 0", "parked userRenamed 0", "expects-1 commandRefused 10", "expects-2 userRenamed 10",
		}) {
			t.Errorf("got %q", got)
		}
		c.drain()
	})
}

// A clock that jumps fires nothing twice, and loses nothing.
func TestClockJumps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		tp := c.topic
		for i := range 60 {
			user := fmt.Sprint("u", i%6)
			c.take(later(tp.command("createUser", user, "Ann", fmt.Sprint("c", i)), time.Duration(1+i/6)*10*time.Second))
		}
		for _, seconds := range []int64{15, 3, 1000, 0, 31, 32, 5, 2000, 0} {
			c.at(seconds)
			time.Sleep(2 * writeEvery) // batches, so that the streams leave memory
		}
		for i := range 6 {
			lines := story(c.log, fmt.Sprint("user/u", i))
			if len(lines) != 20 || !strings.HasSuffix(lines[10], " userCreated 10") || !strings.HasSuffix(lines[19], " commandRefused 100") {
				t.Errorf("user %d:\n%s", i, strings.Join(lines, "\n"))
			}
		}
		c.drain()
	})
}

// Scheduled commands of many streams wait on disk, and go on after a restart.
func TestManyScheduled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 3000
		log, disk := newFakeLog(), newMemDisk()
		const memory = 200_000
		start := func() *service {
			states := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
			states.KeepOn(disk, memory, nil)
			return serveWith(t, states, log)
		}
		s := start()
		tp := new(topic)
		for i := range n {
			c := tp.command("createUser", fmt.Sprint("u", i), "Ann", "c")
			c.Time = time.Now().UTC().Truncate(time.Millisecond)
			s.take(later(c, time.Hour))
		}
		time.Sleep(time.Minute)
		if stats := s.states.Stats(); stats.Scheduled != n || stats.CachedBytes > memory {
			t.Errorf("%+v", stats)
		}
		s.stop()
		s = start()
		if stats := s.states.Stats(); stats.Scheduled != n || stats.Cached > n/10 {
			t.Errorf("after a restart: %+v", stats)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		for stream, records := range log.accepted() {
			if len(records) != 2 || records[1].Type != "userCreated" {
				t.Fatalf("%s has %d records", stream, len(records))
			}
		}
		time.Sleep(time.Minute)
		if stats := s.states.Stats(); stats.Scheduled != 0 || stats.CachedBytes > memory {
			t.Errorf("in the end: %+v", stats)
		}
		s.drain()
	})
}

// The assignment says how late the oldest due command is.
func TestLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveClocked(t)
		c.take(later(c.topic.command("createUser", "u", "Ann", "c"), 10*time.Second))
		c.at(5)
		c.log.mu.Lock()
		c.log.fate = func() fate { return fails }
		c.log.mu.Unlock()
		c.at(17)
		if late := c.processor.late(c.assigned); late != 7*time.Second {
			t.Errorf("late is %v", late)
		}
		c.log.mu.Lock()
		c.log.fate = func() fate { return lands }
		c.log.mu.Unlock()
		time.Sleep(time.Second)
		if late := c.processor.late(c.assigned); late != 0 {
			t.Errorf("late is %v once all is decided", late)
		}
		c.drain()
	})
}
