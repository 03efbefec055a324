package decider

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// service is a command service at work on the fake log.
type service struct {
	t         *testing.T
	states    *StateStore
	processor *processor
	assigned  *assigned
	stop      func() // ends the service like a kill

	mu     sync.Mutex
	marked int64
}

// serve starts a service that has the partition. The service has an
// empty disk, and little memory.
func serve(t *testing.T, log *fakeLog) *service {
	t.Helper()
	states := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
	states.KeepOn(newMemDisk(), 10_000, nil)
	return serveWith(t, states, log)
}

// serveWith starts a service with this state store.
func serveWith(t *testing.T, states *StateStore, log *fakeLog) *service {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s := &service{t: t, states: states}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.states.Run(ctx) })
	s.stop = func() {
		cancel()
		running.Wait()
		if s.processor != nil {
			s.processor.close(ctx, s.assigned) // or failed appends would be sent again
		}
	}
	t.Cleanup(s.stop)
	d := NewDispatcher(&kafka.Kafka{Partitions: 1}, sameTopic, s.states, log.append, quiet)
	assignment := kafka.NewAssignment(ctx, 0, func(next int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if next < s.marked {
			t.Errorf("marked %d after %d", next, s.marked)
		}
		s.marked = next
	})
	if _, err := d.Setup(assignment); err != nil {
		t.Fatal(err)
	}
	s.processor, s.assigned = d.mailboxes[0].processor, d.mailboxes[0].assigned
	return s
}

func (s *service) take(commands ...eventlog.Envelope) {
	s.t.Helper()
	for _, c := range commands {
		s.takes(c)
	}
}

// takes says whether the processor took a command.
func (s *service) takes(c eventlog.Envelope) bool {
	s.t.Helper()
	command, err := readCommand(s.processor.registry, &c)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.processor.take(s.assigned, c, command)
}

// sameTopic is a topic that is never created again.
func sameTopic(context.Context) (string, error) { return "topic", nil }

// drain closes the assignment, and fails if commands are left.
func (s *service) drain() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if left := s.processor.close(ctx, s.assigned); left > 0 {
		s.t.Fatalf("%d commands are left in the assignment", left)
	}
}

// topic makes commands, in the order of their offsets.
type topic struct{ next int64 }

func (tp *topic) command(commandType, user, name, id string) eventlog.Envelope {
	body := fmt.Sprintf(`{"id":%q,"name":%q}`, user, name)
	switch {
	case slices.Contains(machineTypes, commandType):
		body = fmt.Sprintf(`{"stream":"user/%s"}`, user)
	case slices.Contains([]string{"deactivateUser", "reactivateUser", "deleteUser"}, commandType):
		body = fmt.Sprintf(`{"id":%q}`, user)
	}
	c := eventlog.Envelope{
		Offset: tp.next, ID: id, Type: commandType, Stream: "user/" + user,
		Time: time.UnixMilli(tp.next).UTC(), Hash: commandType + body, Body: []byte(body),
	}
	tp.next++
	return c
}

func (tp *topic) expecting(c eventlog.Envelope, version uint64) eventlog.Envelope {
	c.ExpectedVersion = &version
	return c
}

// manyCommands creates users and renames them in turn.
func manyCommands(usersCount, n int) []eventlog.Envelope {
	var tp topic
	var commands []eventlog.Envelope
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
func checkOutcomes(t *testing.T, log *fakeLog, commands []eventlog.Envelope) {
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

// Two services that both believe to own the partition make one outcome for each
// command.
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

// A writer with other rules takes sequence numbers in between.
func TestAnotherWritersRecordsAreBuiltOn(t *testing.T) {
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
	for _, r := range log.accepted()["user/u0"] {
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
	commands := []eventlog.Envelope{
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
	if got := log.accepted()["user/u"]; len(got) != 2 || got[0].Type != "userCreated" || got[1].Type != "userRenamed" {
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
	for _, r := range log.accepted()["user/u"] {
		got = append(got, fmt.Sprintf("%s@%d", r.Type, r.Version))
	}
	if want := "[userCreated@1 userRenamed@2 commandRefused@2 commandRefused@2]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if o, _ := s.states.processors[0].stream("user/u").outcome("4"); o.Refusal == nil || o.Refusal.Slug != aggregate.SlugVersionMismatch {
		t.Errorf("a create that expects no user was refused with %+v: the version comes before anything else", o.Refusal)
	}
}

// A full processor takes no command until there is room, or the partition goes.
func TestFullProcessorHoldsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		waiting := make(chan func(), 2*MaxUnderWay)
		s := serve(t, log)
		s.assigned.append = func(r *eventlog.Record, delivered func(error)) {
			waiting <- func() { log.append(r, delivered) }
		}
		commands := manyCommands(10, MaxUnderWay+1)
		s.take(commands[:MaxUnderWay]...)
		entered := make(chan struct{})
		go func() {
			defer close(entered)
			s.take(commands[MaxUnderWay])
		}()
		synctest.Wait()
		select {
		case <-entered:
			t.Fatal("a full processor took one more")
		default:
		}
		(<-waiting)()
		<-entered
		for range MaxUnderWay {
			(<-waiting)()
		}
		s.drain()
		checkOutcomes(t, log, commands)
	})
}
