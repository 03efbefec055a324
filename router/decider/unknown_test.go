package decider

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// promoteUser is a command that the binary of the other tests doesn't know.
type promoteUser struct {
	ID   users.ID   `json:"id"`
	Name users.Name `json:"name"`
}

func (promoteUser) Type() string          { return "promoteUser" }
func (c promoteUser) AggregateID() string { return string(c.ID) }

func (c promoteUser) Decide(u users.User) (aggregate.Event[users.User], error) {
	if u.Status == users.Absent {
		return nil, users.ErrNotFound
	}
	return users.UserRenamed(c), nil
}

// newerBinary serves with a binary that knows promoteUser.
func newerBinary(t *testing.T, log *fakeLog) *service {
	t.Helper()
	newer := registryOf(func() aggregate.Command[users.User] { return new(promoteUser) })
	return serveWith(t, NewStateStore(log, newer, 1, 128, slog.New(slog.DiscardHandler)), log)
}

func reasonsOf(t *testing.T, records []eventlog.Record) (out []string) {
	t.Helper()
	for _, r := range records {
		var body struct{ Reason string }
		if err := json.Unmarshal(r.Body, &body); err != nil {
			t.Fatal(err)
		}
		out = append(out, strings.TrimSpace(r.Type+" "+r.CommandID+" "+body.Reason))
	}
	return out
}

func wantRecords(t *testing.T, log *fakeLog, stream string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, reasonsOf(t, awaitRecords(t, log, stream, len(want)))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", stream, diff)
	}
}

// A command of an unknown type, and the commands behind, wait for a binary that
// knows the type. Other streams go on, every command is marked, and no operator
// is needed.
func TestUnknownTypeWaitsForANewerBinary(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(
		tp.command("createUser", "u", "Ann", "1"), tp.command("promoteUser", "u", "Bea", "2"),
		tp.command("renameUser", "u", "Cid", "3"), tp.command("createUser", "other", "Oz", "4"),
		tp.command("promoteUser", "u", "Bea", "2"), // again
	)
	s.drain()
	if s.marked != 5 {
		t.Errorf("marked %d of 5", s.marked)
	}
	queued := []string{"userCreated 1", "commandQueued 2 unknown-type", "commandQueued 3 behind-unknown"}
	wantRecords(t, log, "user/u", queued...)
	wantRecords(t, log, "user/other", "userCreated 4")
	if stats := s.states.Stats(); stats.Waiting != 1 || stats.Parked != 0 || stats.Deferred != 2 {
		t.Errorf("stats %+v", stats)
	}
	list := s.states.Parked()
	if len(list) != 1 || list[0].Stream != "user/u" || list[0].Parked || list[0].Waiting != 2 || len(list[0].Deferred) != 1 || list[0].Deferred[0].Reason != eventlog.ReasonUnknownType {
		t.Errorf("the list has %+v", list)
	}
	if of, waits := s.states.ParkedStream("user/u"); !waits || len(of.Deferred) != 2 || of.Deferred[0].Reason != eventlog.ReasonUnknownType || of.Deferred[1].Type != "renameUser" {
		t.Errorf("stream user/u is %+v, %t", of, waits)
	}
	for _, name := range []string{"user/other", "user/nobody"} {
		if of, waits := s.states.ParkedStream(name); waits {
			t.Errorf("stream %s is %+v", name, of)
		}
	}
	s.stop()

	again := serve(t, log) // the same binary, after a restart
	again.take(tp.command("createUser", "third", "Tom", "5"))
	again.drain()
	wantRecords(t, log, "user/u", queued...)
	again.stop()

	newer := newerBinary(t, log) // decides without another command
	wantRecords(t, log, "user/u", append(queued, "userRenamed 2", "userRenamed 3")...)
	awaitFolded(t, newer, log)
	if stats := newer.states.Stats(); stats.Waiting != 0 || stats.Deferred != 0 || len(newer.states.Parked()) != 0 {
		t.Errorf("stats %+v", stats)
	}
}

func awaitFolded(t *testing.T, s *service, log *fakeLog) {
	t.Helper()
	end, _ := log.End(t.Context(), 0)
	if !s.processor.folded.Await(t.Context(), end) {
		t.Fatal("not folded")
	}
}

// An operator can drop a command of a type that nobody knows, and only drop.
func TestUnknownTypeIsDropped(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("promoteUser", "u", "Bea", "1"), tp.command("createUser", "u", "Ann", "2"), tp.command("requeueParked", "u", "", "3"))
	wrong, right := tp.command("dropParked", "u", "", "4"), tp.command("dropParked", "u", "", "5")
	wrong.Body, right.Body = []byte(`{"stream":"user/u","commandId":"2"}`), []byte(`{"stream":"user/u","commandId":"1"}`)
	s.take(wrong, right)
	s.drain()
	wantRecords(t, log, "user/u", "commandQueued 1 unknown-type", "commandQueued 2 behind-unknown", "commandRefused 3", "commandRefused 4",
		"parkedDropped 5", "commandRefused 1", "userCreated 2")
	if stats := s.states.Stats(); stats.Waiting != 0 || stats.Deferred != 0 {
		t.Errorf("stats %+v", stats)
	}
}

// A binary that knows the type parks a command whose payload it can't read, and
// a payload that names another stream: the command is in the log already.
func TestUnknownTypeWithAWrongPayload(t *testing.T) {
	for name, body := range map[string]string{
		"unknown member": `{"id":"u","name":"Bea","other":1}`,
		"another stream": `{"id":"v","name":"Bea"}`,
	} {
		t.Run(name, func(t *testing.T) {
			log, tp := newFakeLog(), new(topic)
			s := serve(t, log)
			c := tp.command("promoteUser", "u", "Bea", "1")
			c.Body = []byte(body)
			s.take(c, tp.command("createUser", "u", "Ann", "2"))
			s.drain()
			s.stop()
			newerBinary(t, log)
			records := awaitRecords(t, log, "user/u", 3)
			if records[2].Type != eventlog.TypeCommandParked || records[2].CommandID != "1" {
				t.Errorf("the log has %v", typesOf(records))
			}
		})
	}
}

// What can't be a command of any binary is undecodable, and so is a payload that
// the gateway would refuse.
func TestUndecodableCommands(t *testing.T) {
	for body, commandType := range map[string]string{
		`{"id":"u","name":"Bea","nick":"B"}`:            "renameUser",
		`{"id":"u","title":"Bea"}`:                      "renameUser",
		`{"id":"u","Name":"Bea"}`:                       "renameUser",
		`{"id":"u","name":"Bea","name":"Bo"}`:           "renameUser",
		`{"id":"u","name":7}`:                           "renameUser",
		`{"id":"u","name":null}`:                        "renameUser",
		`{"id":"v","name":"Bea"}`:                       "renameUser",
		`{"id":"u","name":"Bea"}{}`:                     "renameUser",
		`{"stream":"user/u","commandId":"1","other":1}`: "dropParked",
		`{"stream":"user/u","commandID":"1"}`:           "dropParked",
		`[]`:                                            "promoteUser",
		`{"a":1,"a":2}`:                                 "promoteUser",
		"{\"a\":\"\xff\"}":                              "promoteUser",
		``:                                              "promoteUser",
	} {
		envelope := eventlog.Envelope{ID: "1", Type: commandType, Stream: "user/u", Body: []byte(body)}
		if c, err := readCommand(registry, &envelope); !undecodable(err) {
			t.Errorf("%s %s is %+v, %v", commandType, body, c, err)
		}
	}
	for _, stream := range []string{"user/u", "order/1"} {
		envelope := eventlog.Envelope{ID: "1", Type: "promoteUser", Stream: stream, Body: []byte("{}")}
		if c, err := readCommand(registry, &envelope); err != nil || c.Type() != "promoteUser" || stream != "user/"+c.AggregateID() && c.AggregateID() != "1" {
			t.Errorf("promoteUser of %s is %+v, %v", stream, c, err)
		}
	}
}

// A stream with an event of a newer binary decides nothing and parks nothing in
// an older binary. Other streams go on.
func TestUnknownEventsAreLeftToANewerBinary(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	r := eventlog.Record{Type: "userPromoted", Stream: "user/u", Seq: 1, Version: 1, CommandID: "new", CommandPosition: eventlog.CommandPosition{TopicID: "topic"}, Body: []byte("{}")}
	r.Seal()
	log.append(&r, func(error) {})
	tp.next = 1
	s := serve(t, log)
	s.take(
		tp.command("renameUser", "u", "Bea", "2"), tp.command("renameUser", "u", "Bo", "3"),
		tp.command("createUser", "other", "Oz", "4"), tp.command("requeueParked", "u", "", "5"),
	)
	s.drain()
	if s.marked != 5 {
		t.Errorf("marked %d of 5", s.marked)
	}
	awaitRecords(t, log, "user/other", 1)
	want := []string{"userPromoted new", "commandQueued 2", "commandQueued 3", "commandRefused 5"}
	if diff := cmp.Diff(want, typesOf(log.accepted()["user/u"])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if list := s.states.Parked(); len(list) != 1 || list[0].Deferred[0].Reason != eventlog.ReasonUnknownEvent {
		t.Errorf("the list has %+v", list)
	}
	dropped := tp.command("dropParked", "u", "", "6")
	dropped.Body = []byte(`{"stream":"user/u","commandId":"2"}`)
	s.stop()
	s = serve(t, log)
	s.take(dropped)
	s.drain()
	wantRecords(t, log, "user/u", "userPromoted new", "commandQueued 2 unknown-event", "commandQueued 3 behind-unknown", "commandRefused 5",
		"parkedDropped 6", "commandRefused 2")
}

// No message of topic commands stops other streams, and none makes an event that
// can't be read back.
func FuzzHostileCommands(f *testing.F) {
	for _, seed := range [][4]string{
		{"fooCommand", "user/1", "a", `{"any":[1,null]}`}, {"renameUser", "user/1", "a", `{"id":"1","nick":"x"}`},
		{"createUser", "user/1", "a", `{"id":1,"name":"\u003cA\u2028"}`}, {"deleteUser", "user/1", "a", `{"id":"1"}`},
		{"dropParked", "user/1", "a", `{"stream":"user/1","commandId":""}`}, {"requeueParked", "order/1", "a", `{"stream":"order/1"}`},
		{"fooCommand", "order/\u2028", "a", `{"a":"\ud83d\ude00"}`}, {"", "", "", ""}, {"foo", "user/1", "a", "[]"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	f.Fuzz(func(t *testing.T, commandType, stream, id, body string) {
		log, tp := newFakeLog(), new(topic)
		hostile := eventlog.Envelope{ID: id, Type: commandType, Stream: stream, Hash: "h", Body: []byte(body)}
		command, err := readCommand(registry, &hostile)
		if err != nil {
			if !undecodable(err) {
				t.Fatalf("an error that is no reason for the dead letters: %v", err)
			}
			return
		}
		tp.next = 1
		s := serve(t, log)
		s.processor.take(s.assigned, hostile, command)
		s.take(tp.command("createUser", "other", "Oz", "2"), tp.command("renameUser", "other", "Ozzy", "3"))
		s.drain()
		defer s.stop()
		if s.marked != 3 || len(log.accepted()[stream]) == 0 || len(log.accepted()["user/other"]) < 2 {
			t.Fatalf("marked %d, and the log has %+v", s.marked, log.records)
		}
		for name, c := range s.processor.streams {
			if st := c.stream; st.unreadable != nil || st.parked {
				t.Errorf("%s: parked %v, %v", name, st.parked, st.unreadable)
			}
		}
	})
}
