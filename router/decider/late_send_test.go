package decider

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// ofReaction makes a command the first command of a cause, of stream "user/cause".
func ofReaction(c eventlog.Envelope, cause int64, open ...string) eventlog.Envelope {
	c.Origin = &eventlog.Origin{
		Reaction: "greeter", Cause: eventlog.Cause{TopicID: "log", Partition: 0, Offset: cause, N: 1},
		Subject: "user/cause", Depth: 1, Open: open,
	}
	c.ID = c.Origin.CommandID()
	return c
}

// A process of a reaction freezes between deciding to send and sending. Another
// process sends the command, and the target has 200 commands more, more than a
// stream remembers. The late send takes no effect: not here, not in a process that
// has folded the log anew, and topic commands is trimmed beyond the send.
func TestLateSendTakesNoEffect(t *testing.T) {
	t.Parallel()
	for name, commands := range map[string]func(tp *topic, n int) eventlog.Envelope{
		"clients' commands": func(tp *topic, n int) eventlog.Envelope {
			return tp.command("renameUser", "u", fmt.Sprint("n", n), fmt.Sprint("c", n))
		},
		"the reaction's own": func(tp *topic, n int) eventlog.Envelope {
			return ofReaction(tp.command("renameUser", "u", fmt.Sprint("n", n), ""), int64(100+n))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, tp := newFakeLog(), new(topic)
			s := serve(t, log)
			s.take(tp.command("createUser", "u", "Ann", "new"))
			frozen := ofReaction(tp.command("renameUser", "u", "Bea", ""), 7)
			s.take(frozen)
			for n := range 200 {
				s.take(commands(tp, n))
			}
			want := len(awaitRecords(t, log, "user/u", 202))
			late := frozen
			late.Offset, tp.next = tp.next, tp.next+1
			s.take(late)
			s.drain()
			if s.marked != late.Offset+1 {
				t.Errorf("marked %d, want %d", s.marked, late.Offset+1)
			}
			s.stop()

			anew := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
			s = serveWith(t, anew, log)
			d := NewDispatcher(&kafka.Kafka{Partitions: 1}, sameTopic, anew, log.append, slog.New(slog.DiscardHandler))
			later := late
			later.Offset = late.Offset + 1
			if !d.isDecided(later, "topic") {
				t.Error("topic commands is not trimmed beyond the late send")
			}
			s.take(later)
			s.drain()
			if got := log.accepted()["user/u"]; len(got) != want || len(log.records) != want {
				t.Errorf("%d records, %d of them count, want %d: the late send took effect", len(log.records), len(got), want)
			}
		})
	}
}

// A command of an open cause takes effect, however late: the reaction has passed
// over the cause, and comes back to the cause later.
func TestOpenCauseTakesEffectLater(t *testing.T) {
	t.Parallel()
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("createUser", "u", "Ann", "new"))
	for n := range 200 {
		c := ofReaction(tp.command("renameUser", "u", fmt.Sprint("n", n), ""), int64(100+n), "user/parked")
		s.take(c)
	}
	retried := ofReaction(tp.command("renameUser", "u", "Bea", ""), 7, "user/parked")
	retried.Origin.Subject = "user/parked"
	again, closed, late := retried, ofReaction(tp.command("renameUser", "u", "Cyd", ""), 300), retried
	again.Offset, late.Offset = 202, 204
	closed.Offset = 203
	s.take(retried, again, closed, late)
	s.drain()
	wantRecordsEnd(t, log, `userRenamed {"id":"u","name":"Bea"}`, `userRenamed {"id":"u","name":"Cyd"}`)
	if n := len(log.records); n != 203 {
		t.Errorf("%d records, want 203", n)
	}
}

// wantRecordsEnd compares the last records of stream "user/u".
func wantRecordsEnd(t *testing.T, log *fakeLog, want ...string) {
	t.Helper()
	got := log.accepted()["user/u"]
	for i, r := range got[len(got)-len(want):] {
		if text := r.Type + " " + string(r.Body); text != want[i] {
			t.Errorf("got %s, want %s", text, want[i])
		}
	}
}

// The outcomes of reactions' commands take no place among those of clients: 200
// of them, and a client's repeated command is still known.
func TestReactionsEvictNoOutcome(t *testing.T) {
	t.Parallel()
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("createUser", "u", "Ann", "new"))
	for n := range 200 {
		s.take(ofReaction(tp.command("renameUser", "u", fmt.Sprint("n", n), ""), int64(100+n)))
	}
	s.take(tp.command("createUser", "u", "Ann", "new"))
	s.drain()
	if n := len(log.records); n != 201 {
		t.Errorf("%d records: the repeated command was decided again", n)
	}
	if o, ok := s.states.Outcome("user/u", "new"); !ok || o.Kind != Succeeded {
		t.Errorf("the outcome of the client's command is %+v, %v", o, ok)
	}
	if n := s.states.Stats().Outcomes; n != 1 {
		t.Errorf("%d outcomes are remembered", n)
	}
}

// A reaction's command that waits in a parked stream keeps its origin, and so do
// the records that end the command. A repetition leaves no record.
func TestDeferredOfAReaction(t *testing.T) {
	mended := withBrokenRule(t)
	p, log := slowProcessor(t, 2)
	tp := new(topic)
	first := ofReaction(tp.command("breakUser", "u", "Bob", ""), 7)
	second := ofReaction(tp.command("renameUser", "u", "Cyd", ""), 8)
	repeated := []eventlog.Envelope{first, second}
	for i := range repeated {
		repeated[i].Offset, tp.next = tp.next, tp.next+1
	}
	log.take(t, p, append([]eventlog.Envelope{first, second}, repeated...)...)
	log.landAll(p)
	*mended = true
	log.take(t, p, tp.command("requeueParked", "u", "", "r"))
	log.landAll(p)
	for i := range repeated {
		repeated[i].Offset, tp.next = tp.next, tp.next+1
	}
	log.take(t, p, repeated...)
	log.landAll(p)
	got := log.accepted()["user/u"]
	if len(got) != 5 || len(log.records) != 5 {
		t.Fatalf("%d records, %d of them count, want 5", len(log.records), len(got))
	}
	for i, cause := range []int64{7, 8, 0, 7, 8} {
		if o := got[i].Origin; cause == 0 && o != nil || cause > 0 && (o == nil || o.Cause.Offset != cause || got[i].CommandID != o.CommandID()) {
			t.Errorf("record %d, %s, is of %+v", i, got[i].Type, o)
		}
	}
	wantAllDecided(t, log, 2, append([]eventlog.Envelope{first, second}, repeated...))
}

// A record that doesn't count moves no fence: a process that came too late has
// appended the record, and the command is decided all the same.
func TestIgnoredRecordMovesNoFence(t *testing.T) {
	t.Parallel()
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("createUser", "u", "Ann", "new"))
	c := ofReaction(tp.command("renameUser", "u", "Bea", ""), 7)
	awaitRecords(t, log, "user/u", 1)
	late := seal(&stream{}, &c, eventlog.CommandPosition{TopicID: "topic", Offset: c.Offset}, outcome{recordType: "userRenamed", body: []byte(`{"id":"u","name":"Zoe"}`)})
	log.append(&late, func(error) {})
	if err := s.states.CatchUp(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	s.take(c)
	s.drain()
	if got := log.accepted()["user/u"]; len(got) != 2 || string(got[1].Body) != `{"id":"u","name":"Bea"}` {
		t.Errorf("%d records count: %+v", len(got), got)
	}
}
