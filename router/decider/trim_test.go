package decider

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// wantAllDecided fails unless a service that knows only the log takes all the
// commands for decided: trimming removes the commands, and a redelivery decides
// nothing.
func wantAllDecided(t *testing.T, log *slowLog, remember int, commands []eventlog.Envelope) {
	t.Helper()
	states := NewStateStore(log, registry, 1, remember, slog.New(slog.DiscardHandler))
	p := slowProcessorOn(t, states, log)
	dispatcher := NewDispatcher(&kafka.Kafka{Partitions: 1}, sameTopic, states, log.append, slog.New(slog.DiscardHandler))
	for _, c := range commands {
		if !dispatcher.isDecided(c, "topic") {
			t.Errorf("%s %s at %d is not decided: trimming stops there", c.Type, c.ID, c.Offset)
		}
	}
	log.take(t, p, commands...)
	if n := len(log.waiting); n != 0 {
		t.Errorf("%d are decided again when they come again", n)
	}
}

// A command that repeats the id of a deferred command leaves no record. The
// repetition stays decided after any number of deferred commands have gone on.
func TestRepeatedWhileDeferredStaysDecided(t *testing.T) {
	for _, deferred := range []int{1, 2, 3, 10} {
		for repeats := range deferred + 1 {
			t.Run(fmt.Sprintf("%d of %d", repeats, deferred), func(t *testing.T) {
				mended := withBrokenRule(t)
				p, log := slowProcessor(t, 2)
				tp := new(topic)
				commands := []eventlog.Envelope{
					tp.command("createUser", "u", "Ann", "new"),
					tp.command("breakUser", "u", "Bob", "held0"),
				}
				for n := range deferred {
					commands = append(commands, tp.command("renameUser", "u", fmt.Sprint("Name ", n), fmt.Sprint("held", n+1)))
				}
				log.take(t, p, commands...)
				log.landAll(p)
				*mended = true
				later := []eventlog.Envelope{
					tp.command("requeueParked", "u", "", "r"),
					tp.command("renameUser", "u", "Again", fmt.Sprint("held", repeats)),
				}
				log.take(t, p, later...)
				log.landAll(p)
				commands = append(commands, later...)
				if n := len(p.assigned.queue) + len(p.assigned.speculations); n != 0 {
					t.Errorf("%d left in the assignment", n)
				}
				if got := log.accepted()["user/u"]; len(got) != 2+deferred+1+deferred+1 || len(got) != len(log.records) {
					t.Errorf("the log has %v", typesOf(got))
				}
				wantAllDecided(t, log, 2, commands)

				// The next command evicts the old outcomes.
				next := tp.command("renameUser", "u", "Next", "next")
				log.take(t, p, next)
				log.landAll(p)
				if n := p.stream("user/u").outcomes.len(); n != 2 {
					t.Errorf("%d outcomes are remembered, want 2", n)
				}
				wantAllDecided(t, log, 2, append(commands, next))
			})
		}
	}
}

// Whether a command repeats another doesn't depend on how many records under
// way are read back.
func TestRepeatsAreFoundAtTheirTurn(t *testing.T) {
	for _, test := range []struct {
		again string
		want  string // the outcome of the repetition, "" for none
	}{
		{"3", ""}, {"2", ""}, {"1", "commandRefused 1"}, {"0", "commandRefused 0"},
	} {
		for read := range 5 {
			t.Run(fmt.Sprintf("%s after %d are read back", test.again, read), func(t *testing.T) {
				p, log := slowProcessor(t, 2)
				tp := new(topic)
				var commands []eventlog.Envelope
				for n := range 4 {
					commands = append(commands, tp.command("createUser", "u", "Ann", fmt.Sprint(n)))
				}
				log.take(t, p, commands...)
				for range read {
					log.land(p)
				}
				again := tp.command("createUser", "u", "Ann", test.again)
				log.take(t, p, again)
				log.landAll(p)
				got := typesOf(log.accepted()["user/u"])[4:]
				if test.want == "" && len(got) > 0 || test.want != "" && fmt.Sprint(got) != "["+test.want+"]" {
					t.Errorf("it ends as %v, want %q", got, test.want)
				}
				wantAllDecided(t, log, 2, append(commands, again))
			})
		}
	}
}

// A new command behind deferred commands that go on evicts their outcomes, read
// back or not: another command with such an id is a new command.
func TestDeferredAreForgottenBehindANewCommand(t *testing.T) {
	for read := range 5 {
		t.Run(fmt.Sprint(read), func(t *testing.T) {
			mended := withBrokenRule(t)
			p, log := slowProcessor(t, 2)
			tp := new(topic)
			commands := []eventlog.Envelope{
				tp.command("createUser", "u", "Ann", "new"),
				tp.command("breakUser", "u", "Bob", "held0"),
				tp.command("renameUser", "u", "Cat", "held1"),
			}
			log.take(t, p, commands...)
			log.landAll(p)
			*mended = true
			commands = append(commands, tp.command("requeueParked", "u", "", "r"), tp.command("renameUser", "u", "Dan", "next"))
			log.take(t, p, commands[3:]...)
			for range read {
				log.land(p)
			}
			again := tp.command("renameUser", "u", "Cat", "held1")
			log.take(t, p, again)
			log.landAll(p)
			want := "[parkedRequeued r userRenamed held0 userRenamed held1 userRenamed next userRenamed held1]"
			if got := fmt.Sprint(typesOf(log.accepted()["user/u"])[3:]); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			wantAllDecided(t, log, 2, append(commands, again))
		})
	}
}

// A command that went to the dead letters has no outcome, and stops no trimming.
func TestDeadLettersAreTrimmed(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	dead := tp.command("deleteUser", "u", "", "1")
	dead.Body = []byte(`{"id":"u","other":1}`)
	d := NewDispatcher(&kafka.Kafka{Partitions: 1}, sameTopic, s.states, log.append, slog.New(slog.DiscardHandler))
	if d.isDead(dead, s.assigned.assignment) {
		t.Error("dead before the turn of the command")
	}
	s.assigned.assignment.Done().Set(1)
	if !d.isDead(dead, s.assigned.assignment) {
		t.Error("not dead")
	}
	alive := tp.command("promoteUser", "u", "Bea", "2")
	s.assigned.assignment.Done().Set(2)
	if d.isDead(alive, s.assigned.assignment) {
		t.Error("a command of an unknown type is no dead letter")
	}
}
