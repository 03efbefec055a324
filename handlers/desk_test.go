package handlers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// fakeLog is topic events with one partition. What becomes of an append is up
// to fate.
type fakeLog struct {
	mu      sync.Mutex
	grown   *sync.Cond
	records []messaging.Record
	fate    func() fate
}

type fate int

const (
	lands   fate = iota
	fails        // nothing is written, and the writer is told
	ackLost      // it is written, and the writer is told that it isn't
)

func newFakeLog() *fakeLog {
	l := &fakeLog{fate: func() fate { return lands }}
	l.grown = sync.NewCond(&l.mu)
	return l
}

func (l *fakeLog) append(r *messaging.Record, delivered func(error)) {
	l.mu.Lock()
	f := l.fate()
	if f != fails {
		copied := *r
		copied.Offset = int64(len(l.records))
		l.records = append(l.records, copied)
		l.grown.Broadcast()
	}
	l.mu.Unlock()
	if f == lands {
		delivered(nil)
	} else {
		delivered(errors.New("no ack"))
	}
}

func (l *fakeLog) End(context.Context, int32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.records)), nil
}

func (l *fakeLog) At(_ context.Context, _ int32, offset int64) (messaging.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[offset], nil
}

func (l *fakeLog) Follow(ctx context.Context, _ int32, from int64, fn func([]messaging.Record) error) error {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.grown.Broadcast()
	})()
	for {
		l.mu.Lock()
		for ctx.Err() == nil && int(from) >= len(l.records) {
			l.grown.Wait()
		}
		batch := append([]messaging.Record(nil), l.records[from:]...)
		l.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fn(batch); err != nil {
			return err
		}
		from += int64(len(batch))
	}
}

// accepted is the log through the gate, by stream.
func (l *fakeLog) accepted() map[string][]messaging.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gated()
}

func (l *fakeLog) gated() map[string][]messaging.Record {
	heads := map[string]messaging.Head{}
	out := map[string][]messaging.Record{}
	for i := range l.records {
		r := &l.records[i]
		if head, ok := heads[r.Stream].Accept(r); ok {
			heads[r.Stream] = head
			out[r.Stream] = append(out[r.Stream], *r)
		}
	}
	return out
}

// service is a command service at work on the fake log.
type service struct {
	t      *testing.T
	ledger *Ledger
	desk   *desk
	stop   func() // and nothing more comes of it, as if it were killed

	mu     sync.Mutex
	marked int64
}

// serve starts a service that has claimed the partition.
func serve(t *testing.T, log *fakeLog) *service {
	t.Helper()
	return serveWith(t, NewLedger(log, 1, 128, slog.New(slog.DiscardHandler)), log)
}

// serveWith starts a service with this ledger.
func serveWith(t *testing.T, ledger *Ledger, log *fakeLog) *service {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s := &service{t: t, ledger: ledger}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.ledger.Run(ctx) })
	s.stop = func() {
		cancel()
		running.Wait()
		if s.desk != nil {
			s.desk.close(ctx) // it would send again what failed
		}
	}
	t.Cleanup(s.stop)
	d := NewDispatcher(&messaging.Kafka{Partitions: 1}, sameTopic, s.ledger, log.append, quiet)
	claim := messaging.NewClaim(ctx, 0, func(next int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if next < s.marked {
			t.Errorf("marked %d after %d", next, s.marked)
		}
		s.marked = next
	})
	if _, err := d.Setup(claim); err != nil {
		t.Fatal(err)
	}
	s.desk = d.desks[0].desk
	return s
}

func (s *service) take(commands ...messaging.Command) {
	s.t.Helper()
	for _, c := range commands {
		wish := newCommand(c.Type)
		if err := json.Unmarshal(c.Body, wish); err != nil {
			s.t.Fatal(err)
		}
		s.desk.take(c, wish)
	}
}

// sameTopic is a topic that is never made anew.
func sameTopic(context.Context) (string, error) { return "topic", nil }

// drain closes the desk, and fails if commands are left on it.
func (s *service) drain() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if left := s.desk.close(ctx); left > 0 {
		s.t.Fatalf("%d commands left on the desk", left)
	}
}

// topic makes commands, in the order of their offsets.
type topic struct{ next int64 }

func (tp *topic) command(commandType, user, name, id string) messaging.Command {
	body := fmt.Sprintf(`{"id":%q,"name":%q}`, user, name)
	c := messaging.Command{
		Offset: tp.next, ID: id, Type: commandType, Stream: user,
		Time: time.UnixMilli(tp.next).UTC(), Hash: commandType + body, Body: []byte(body),
	}
	tp.next++
	return c
}

func (tp *topic) expecting(c messaging.Command, version uint64) messaging.Command {
	c.ExpectedVersion = &version
	return c
}

// manyCommands creates users and renames them in turn.
func manyCommands(usersCount, n int) []messaging.Command {
	var tp topic
	var commands []messaging.Command
	for i := range n {
		user := fmt.Sprintf("u%d", i%usersCount)
		kind := "renameUser"
		if i < usersCount {
			kind = "createUser"
		}
		commands = append(commands, tp.command(kind, user, fmt.Sprintf("n%d", i), fmt.Sprintf("c%d", i)))
	}
	return commands
}

// checkOutcomes fails unless each command has one accepted outcome, in the
// order of the commands.
func checkOutcomes(t *testing.T, log *fakeLog, commands []messaging.Command) {
	t.Helper()
	want := map[string][]string{}
	for _, c := range commands {
		want[c.Stream] = append(want[c.Stream], c.ID)
	}
	got := log.accepted()
	for stream, ids := range want {
		if len(got[stream]) != len(ids) {
			t.Fatalf("stream %s: %d accepted records for %d commands", stream, len(got[stream]), len(ids))
		}
		for i, id := range ids {
			if r := got[stream][i]; r.CommandID != id {
				t.Fatalf("stream %s: record %d is the outcome of %s, want %s", stream, i, r.CommandID, id)
			}
		}
	}
}

func TestManyCommandsAtOnceKeepEachUsersOrder(t *testing.T) {
	log := newFakeLog()
	s := serve(t, log)
	commands := manyCommands(17, 5000)
	s.take(commands...)
	s.drain()
	checkOutcomes(t, log, commands)
	if s.marked != 5000 {
		t.Errorf("marked %d, want 5000", s.marked)
	}
	if n := len(log.records); n != 5000 {
		t.Errorf("%d appends for 5000 commands", n)
	}
}

func TestFailedAppendsAreSentAgain(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			log := newFakeLog()
			luck := rand.New(rand.NewPCG(seed, 1))
			log.fate = func() fate {
				switch luck.IntN(20) {
				case 0:
					return fails
				case 1:
					return ackLost
				default:
					return lands
				}
			}
			s := serve(t, log)
			commands := manyCommands(5, 300)
			s.take(commands...)
			s.drain()
			checkOutcomes(t, log, commands)
		})
	}
}

// Two services that both believe to own the partition decide everything.
func TestTwoOwnersHaveOneOutcome(t *testing.T) {
	log := newFakeLog()
	a, b := serve(t, log), serve(t, log)
	commands := manyCommands(3, 2000)
	var both sync.WaitGroup
	both.Go(func() { a.take(commands...) })
	both.Go(func() { b.take(commands...) })
	both.Wait()
	a.drain()
	b.drain()
	checkOutcomes(t, log, commands)
}

// A writer with other rules takes slots in between.
func TestAnotherWritersRecordsAreStackedOn(t *testing.T) {
	log := newFakeLog()
	s := serve(t, log)
	commands := manyCommands(1, 500)
	s.take(commands[0])
	rival := serve(t, log)
	var both sync.WaitGroup
	both.Go(func() { s.take(commands[1:]...) })
	both.Go(func() {
		for i := range int64(50) {
			tp := topic{next: 10_000 + i}
			rival.take(tp.command("renameUser", "u0", fmt.Sprintf("rival %d", i), fmt.Sprintf("r%d", i)))
		}
	})
	both.Wait()
	s.drain()
	rival.drain()
	seen := map[string]int{}
	for _, r := range log.accepted()["u0"] {
		seen[r.CommandID]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("command %s has %d outcomes", id, n)
		}
	}
}

func TestRedeliveryFromTheStartDecidesNothing(t *testing.T) {
	log := newFakeLog()
	s := serve(t, log)
	commands := manyCommands(3, 900) // more than are remembered
	s.take(commands...)
	s.drain()
	again := serve(t, log)
	again.take(commands...)
	again.drain()
	if n := len(log.records); n != len(commands) {
		t.Errorf("%d records for %d commands that came twice", n, len(commands))
	}
	if again.marked != int64(len(commands)) {
		t.Errorf("marked %d", again.marked)
	}
}

func TestRepeatedCommandIDsHaveOneOutcome(t *testing.T) {
	log := newFakeLog()
	s := serve(t, log)
	var tp topic
	commands := []messaging.Command{
		tp.command("createUser", "u", "Ann", "one"),
		tp.command("createUser", "u", "Ann", "one"), // while the first is under way
		tp.command("renameUser", "u", "Eve", "two"),
		tp.command("createUser", "u", "Bob", "one"), // and with another body
	}
	s.take(commands...)
	s.drain()
	again := tp.command("createUser", "u", "Ann", "one") // long after
	s = serve(t, log)
	s.take(again)
	s.drain()
	if got := log.accepted()["u"]; len(got) != 2 || got[0].Type != "userCreated" || got[1].Type != "userRenamed" {
		t.Errorf("accepted %+v, want one userCreated and one userRenamed", got)
	}
}

func TestExpectedVersion(t *testing.T) {
	log := newFakeLog()
	s := serve(t, log)
	var tp topic
	s.take(
		tp.expecting(tp.command("createUser", "u", "Ann", "1"), 0),
		tp.expecting(tp.command("renameUser", "u", "Bea", "2"), 1),
		tp.expecting(tp.command("renameUser", "u", "Cat", "3"), 1),
		tp.expecting(tp.command("createUser", "u", "Dan", "4"), 0),
	)
	s.drain()
	var got []string
	for _, r := range log.accepted()["u"] {
		got = append(got, fmt.Sprintf("%s@%d", r.Type, r.Version))
	}
	if want := "[userCreated@1 userRenamed@2 commandRefused@2 commandRefused@2]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if o, _ := s.ledger.partitions[0].streams["u"].outcome("4"); o.Refusal == nil || o.Refusal.Slug != SlugVersionMismatch {
		t.Errorf("a create that expects no user was refused with %+v: the version comes before anything else", o.Refusal)
	}
}

// brokenRule is a command whose decision panics until it is mended.
type brokenRule struct {
	users.RenameUser
	mended *bool
}

func (brokenRule) Type() string { return "breakUser" }

func (c brokenRule) Decide(u users.User) (users.Event, error) {
	if !*c.mended {
		panic("broken rule")
	}
	return c.RenameUser.Decide(u)
}

func withBrokenRule(t *testing.T) (mended *bool) {
	t.Helper()
	mended = new(bool)
	before := users.Commands
	users.Commands = append(users.Commands[:len(before):len(before)], func() users.Command { return &brokenRule{mended: mended} })
	t.Cleanup(func() { users.Commands = before })
	return mended
}

func typesOf(records []messaging.Record) (out []string) {
	for _, r := range records {
		out = append(out, r.Type+" "+r.CommandID)
	}
	return out
}

func parkOne(t *testing.T, log *fakeLog, tp *topic) {
	t.Helper()
	s := serve(t, log)
	s.take(
		tp.command("createUser", "u", "Ann", "1"),
		tp.command("breakUser", "u", "Bea", "2"),
		tp.command("renameUser", "u", "Cat", "3"),
		tp.command("createUser", "other", "Oz", "o1"),
		tp.command("renameUser", "u", "Dan", "4"),
	)
	s.drain()
	s.stop()
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4]"
	if got := fmt.Sprint(typesOf(log.accepted()["u"])); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if got := fmt.Sprint(typesOf(log.accepted()["other"])); got != "[userCreated o1]" {
		t.Fatalf("the other user: %s", got)
	}
}

// settled waits until a stream has so many accepted records.
func settled(t *testing.T, log *fakeLog, stream string, n int) []messaging.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		log.mu.Lock()
		defer log.mu.Unlock()
		log.grown.Broadcast()
	})()
	log.mu.Lock()
	defer log.mu.Unlock()
	for {
		got := log.gated()[stream]
		if len(got) >= n {
			return got
		}
		if ctx.Err() != nil {
			t.Fatalf("stream %s has %v after %d appends", stream, typesOf(got), len(log.records))
		}
		log.grown.Wait()
	}
}

func TestParkedCommandsAreRequeuedInOrder(t *testing.T) {
	mended := withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)

	// Not mended yet: it parks again, and keeps its place.
	s := serve(t, log)
	s.take(tp.command("requeueParked", "u", "", "r1"))
	settled(t, log, "u", 6)
	s.drain()
	s.stop()

	*mended = true
	s = serve(t, log)
	last := s.ledger.Watch("u", "5")
	defer last.Close()
	s.take(tp.command("requeueParked", "u", "", "r2"), tp.command("renameUser", "u", "Eve", "5"))
	if o := <-last.C; o.Kind != Succeeded {
		t.Errorf("the command behind those that go on: %+v", o)
	}
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4 parkedRequeued r1 commandParked 2 " +
		"parkedRequeued r2 userRenamed 2 userRenamed 3 userRenamed 4 userRenamed 5]"
	if got := fmt.Sprint(typesOf(log.accepted()["u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.drain()
	if name := s.ledger.partitions[0].streams["u"].user.Name; name != "Eve" {
		t.Errorf("the user is called %s", name)
	}
}

func TestDroppedCommandLetsTheRestThrough(t *testing.T) {
	withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)
	s := serve(t, log)
	drop := tp.command("dropParked", "u", "", "d")
	drop.Body = []byte(`{"id":"u","commandId":"2"}`)
	late := tp.command("dropParked", "u", "", "d2")
	late.Body = []byte(`{"id":"u","commandId":"3"}`)
	s.take(drop, late)
	s.drain()
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4 parkedDropped d commandRefused 2 " +
		"userRenamed 3 userRenamed 4 commandRefused d2]"
	if got := fmt.Sprint(typesOf(log.accepted()["u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if o, _ := s.ledger.partitions[0].streams["u"].outcome("2"); o.Refusal == nil || o.Refusal.Slug != "command-dropped" {
		t.Errorf("the dropped command's outcome is %+v", o)
	}
}

func TestWatchTellsOfOutcomes(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	w := s.ledger.Watch("u", "1")
	defer w.Close()
	s.take(tp.command("createUser", "u", "Ann", "1"))
	if o := <-w.C; o.Kind != Succeeded || o.Version != 1 {
		t.Errorf("told %+v", o)
	}
	known := s.ledger.Watch("u", "1")
	defer known.Close()
	if o := <-known.C; o.Version != 1 {
		t.Errorf("told %+v of what is known", o)
	}
}

// A desk that is full lets nobody in, until it has room or the partition goes.
func TestFullDeskHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		held := make(chan func(), 2*maxAtDesk)
		s := serve(t, log)
		s.desk.append = func(r *messaging.Record, delivered func(error)) {
			held <- func() { log.append(r, delivered) }
		}
		commands := manyCommands(10, maxAtDesk+1)
		s.take(commands[:maxAtDesk]...)
		entered := make(chan struct{})
		go func() {
			defer close(entered)
			s.take(commands[maxAtDesk])
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("a full desk took one more")
		default:
		}
		(<-held)()
		<-entered
		for range maxAtDesk {
			(<-held)()
		}
		s.drain()
		checkOutcomes(t, log, commands)
	})
}

// What a newer binary has written can't be decided on, and is not parked: this
// one leaves, and says so.
func TestUnknownEventsAreLeftToANewerBinary(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	r := messaging.Record{Type: "userPromoted", Stream: "u", Seq: 1, Version: 1, CommandID: "new", CommandPosition: messaging.CommandPosition{TopicID: "topic"}, Body: []byte("{}")}
	r.Seal()
	log.append(&r, func(error) {})
	tp.next = 1
	s := serve(t, log)
	left := make(chan error, 1)
	s.desk.outdated = func(why error) {
		select {
		case left <- why:
		default:
		}
	}
	s.take(tp.command("renameUser", "u", "Bea", "2"), tp.command("createUser", "other", "Oz", "3"))
	if why := <-left; !errors.Is(why, users.ErrUnknownEvent) {
		t.Errorf("it leaves because: %v", why)
	}
	settled(t, log, "other", 1)
	if got := log.accepted()["u"]; len(got) != 1 {
		t.Errorf("it decided all the same: %v", typesOf(got))
	}
	if s.marked > 1 {
		t.Errorf("marked %d: what it left is above", s.marked)
	}
}
