package history

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// world is a Millrace with one client, which keeps all promises, and the history of
// the client. Nothing happens at the same time.
type world struct {
	now        time.Duration
	log        *Log
	operations []Operation
}

const alice = "alice"

// stream is the stream of alice.
var stream = users.Aggregate.Stream(alice)

var partition = eventlog.PartitionOf(stream, 4)

func newWorld() *world {
	return &world{log: &Log{
		Partitions: 4,
		Records:    map[int32][]eventlog.Record{},
		Commands:   map[int32]map[int64]CommandKey{partition: {}},
	}}
}

func (w *world) tick() time.Duration {
	w.now += time.Millisecond
	return w.now
}

func (w *world) fold() *fold {
	f, _ := foldLog(w.log)
	return f
}

// append appends a record to the log. The record counts.
func (w *world) append(commandID, recordType string, body []byte) *eventlog.Record {
	records := w.log.Records[partition]
	offset := int64(len(records))
	at := offset // of the command
	for _, before := range slices.Backward(records) {
		if before.CommandID == commandID && isDeferred(&before) {
			at = before.CommandPosition.Offset
		}
	}
	r := eventlog.Record{
		Partition: partition, Offset: offset, Type: recordType, Stream: stream, Seq: uint64(offset) + 1,
		CommandID: commandID, CommandPosition: eventlog.CommandPosition{TopicID: "t", Offset: at}, Body: body,
	}
	if offset > 0 {
		r.Prev, r.Version = records[offset-1].Digest, records[offset-1].Version
	}
	if eventlog.IsEvent(recordType) {
		r.Version++
	}
	r.Seal()
	w.log.Records[partition] = append(records, r)
	w.log.Commands[partition][at] = CommandKey{alice, commandID}
	return &w.log.Records[partition][offset]
}

// command sends a command, and waits for the outcome.
func (w *world) command(id, kind, name string) *Operation {
	o := Operation{Kind: kind, User: alice, CommandID: id, Name: name, Waits: true, Call: w.tick()}
	v := (&command{Operation: &o}).decide(w.fold().at(alice))
	body := v.body
	if v.slug != "" {
		body = fmt.Appendf(nil, `{"problem":%q}`, v.slug)
	}
	r := w.append(id, v.recordType, body)
	o.HTTP, o.Slug, o.Version = http.StatusOK, v.slug, r.Version
	o.Position = eventlog.EncodePosition(eventlog.Position{partition: r.Offset + 1})
	if v.slug != "" {
		o.HTTP, o.Version, o.Position = http.StatusConflict, 0, ""
	}
	o.Return = w.tick()
	o.Shared = o.Return
	w.operations = append(w.operations, o)
	return &w.operations[len(w.operations)-1]
}

// read reads behind the last record.
func (w *world) read() *Operation {
	is := w.fold().at(alice)
	at := eventlog.EncodePosition(eventlog.Position{partition: int64(len(w.log.Records[partition]))})
	o := Operation{
		Kind: Read, User: alice, Call: w.tick(), After: at, Position: at,
		HTTP: http.StatusOK, Version: is.version, ReadName: string(is.Name), Active: is.Status == users.Active,
	}
	if is.Status == users.Absent {
		o = Operation{Kind: Read, User: alice, Call: o.Call, After: at, Position: at, HTTP: http.StatusNotFound}
	}
	o.Return = w.tick()
	w.operations = append(w.operations, o)
	return &w.operations[len(w.operations)-1]
}

func (w *world) status(id, slug string) *Operation {
	at := eventlog.EncodePosition(eventlog.Position{partition: int64(len(w.log.Records[partition]))})
	w.operations = append(w.operations, Operation{Kind: Status, User: alice, CommandID: id, HTTP: http.StatusOK, Slug: slug, Position: at, Call: w.tick(), Return: w.tick()})
	return &w.operations[len(w.operations)-1]
}

// good is a history with all kinds of operations.
func good() *world {
	w := newWorld()
	w.read()
	w.command("c1", "createUser", "Alice")
	w.read()
	w.command("c2", "renameUser", "Alison")
	w.command("c3", "createUser", "Eve") // refused
	w.status("c3", "user-exists")
	w.command("c4", "renameUser", "Alison") // unchanged
	w.read()
	w.command("c5", "deactivateUser", "")
	w.read()
	return w
}

// of is the first operation of a kind, or of a command.
func (w *world) of(what string) *Operation {
	i := slices.IndexFunc(w.operations, func(o Operation) bool { return o.CommandID == what || o.Kind == what })
	return &w.operations[i]
}

// lastRead is the last read.
func (w *world) lastRead() *Operation { return &w.operations[len(w.operations)-1] }

// keep keeps the first n records.
func (w *world) keep(n int) {
	w.log.Records[partition] = w.log.Records[partition][:n]
}

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(*world)
		want []string // rules, each once
	}{
		{"all is well", func(*world) {}, nil},
		{"a 503 that happened", func(w *world) { w.of("c2").HTTP, w.of("c2").Shared = 503, 0 }, nil},
		{"a timeout that never happened", func(w *world) {
			w.operations = append(w.operations, Operation{Kind: "renameUser", User: alice, CommandID: "c9", Name: "Eve", Call: w.tick(), Return: w.tick()})
		}, nil},
		{"a command for a deleted user", func(w *world) {
			w.command("c6", "deleteUser", "")
			w.command("c7", "renameUser", "Alice").HTTP = http.StatusGone
		}, nil},
		{"an old read", func(w *world) {
			r := w.lastRead()
			r.Kind, r.After, r.Position, r.Version, r.ReadName, r.Active = ReadOld, "", w.of("c1").Position, 1, "Alice", true
		}, nil},
		{"a record too late for its sequence number", func(w *world) {
			late := w.log.Records[partition][1]
			late.Offset = 5
			w.log.Records[partition] = append(w.log.Records[partition], late)
		}, nil},

		{"a 200 is lost", func(w *world) {
			w.keep(4)
			delete(w.log.Commands[partition], 4)
			w.operations = w.operations[:len(w.operations)-1]
		}, []string{"lost"}},
		{"a 202 is lost", func(w *world) {
			w.operations = append(w.operations, Operation{Kind: "renameUser", User: alice, CommandID: "c9", Name: "Eve", HTTP: 202, Call: w.tick(), Return: w.tick()})
		}, []string{"lost"}},
		{"a command in Kafka has no outcome", func(w *world) { w.log.Commands[partition][9] = CommandKey{alice, "c9"} }, []string{"never decided"}},
		{"a command is decided again", func(w *world) { w.append("c5", eventlog.TypeCommandUnchanged, []byte(`{}`)) }, []string{"decided twice", "wrong decision"}},
		{"a refused command took effect", func(w *world) {
			w.of("c5").HTTP, w.of("c5").Slug = 409, "user-exists"
		}, []string{"refused, and took effect", "not linearizable"}},
		{"another refusal", func(w *world) { w.of("c3").Slug = "user-deleted" }, []string{"another outcome", "not linearizable"}},
		{"a 200 for a refused command", func(w *world) { w.of("c3").HTTP, w.of("c3").Version = 200, 2 }, []string{"another outcome", "not linearizable"}},
		{"a version that the user never had", func(w *world) { w.of("c2").Version = 1 }, []string{"another outcome", "not linearizable"}},
		{"the position of another command", func(w *world) { w.of("c2").Position = w.of("c1").Position }, []string{"another outcome"}},
		{"a repetition is answered otherwise", func(w *world) {
			again := *w.of("c2")
			again.Call, again.Return, again.Version = w.tick(), w.tick(), 3
			w.operations = append(w.operations, again)
		}, []string{"another outcome"}},
		{"an answer that nobody asked for", func(w *world) { w.of("c1").HTTP = 422 }, []string{"unexpected answer"}},
		{"a record that nobody asked for", func(w *world) {
			w.append("c9", "userRenamed", []byte(`{"id":"alice","name":"Mallory"}`))
		}, []string{"sent by nobody"}},
		{"a rewritten version", func(w *world) {
			w.log.Records[partition][1].Body = []byte(`{"id":"alice","name":"Mallory"}`)
		}, []string{"wrong decision", "not the fold of its position"}},
		{"an edited record, sealed again", func(w *world) {
			r := &w.log.Records[partition][1]
			r.Body = []byte(`{"id":"alice","name":"Mallory"}`)
			r.Seal() // the next record follows another digest
		}, []string{"another status", "lost", "never decided", "not the fold of its position", "wrong decision"}},
		{"the domain says otherwise", func(w *world) { w.of("c4").Name = "Alice" }, []string{"not linearizable", "wrong decision"}},
		{"a record of another command", func(w *world) { w.log.Commands[partition][1] = CommandKey{alice, "c9"} }, []string{"never decided", "wrong command"}},
		{"a record that can't be read", func(w *world) { w.log.Records[partition][4].Unreadable = fmt.Errorf("no") }, []string{"lost", "never decided", "not the fold of its position", "record unreadable"}},
		{"a later command first", func(w *world) {
			c2, c1 := w.of("c2"), w.of("c1")
			c1.Call, c1.Return = c2.Return+1, c2.Return+2
		}, []string{"not linearizable", "out of order"}},
		{"a read that is older than was asked for", func(w *world) {
			r, before := w.lastRead(), w.of("c4").Position
			r.Position, r.Version, r.Active = before, 2, true
		}, []string{"not linearizable", "stale"}},
		{"a read without what was sent", func(w *world) {
			r, before := w.lastRead(), w.of("c4").Position
			r.Position, r.Version, r.Active = before, 2, true
			r.After = eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: stream, ID: "c5", CommandPlace: eventlog.CommandPlace{Partition: partition, CommandPosition: eventlog.CommandPosition{TopicID: "t", Offset: 4}}})
		}, []string{"not linearizable", "stale"}},
		{"rows behind their checkpoint", func(w *world) { w.lastRead().Active = true }, []string{"not linearizable", "not the fold of its position"}},
		{"rows before their checkpoint", func(w *world) {
			r := w.lastRead()
			r.After = ""
			r.Position = w.of("c4").Position
		}, []string{"not the fold of its position"}},
		{"an old position of newer rows", func(w *world) {
			r := w.lastRead()
			r.Kind, r.After, r.Position = ReadOld, "", w.of("c1").Position
		}, []string{"not the fold of its position"}},
		{"a user who isn't there any more", func(w *world) { w.lastRead().HTTP = 404 }, []string{"not linearizable", "not the fold of its position"}},
		{"a version goes back", func(w *world) {
			r, before := w.lastRead(), *w.of("c1")
			r.After, r.Position, r.Version, r.ReadName, r.Active = "", before.Position, 1, "Alice", true
		}, []string{"back in time", "not linearizable"}},
		{"a read without a position", func(w *world) { w.lastRead().Position = "" }, []string{"unexpected answer"}},
		{"a status of another outcome", func(w *world) { w.of(Status).Slug = "succeeded" }, []string{"another status"}},
		{"a status that isn't there", func(w *world) { w.of(Status).HTTP = 404 }, []string{"status lost"}},
		{"a status without a record", func(w *world) {
			w.status("c9", "succeeded")
		}, []string{"another status"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := good()
			test.do(w)
			w.check(t, test.want)
		})
	}
}

// check checks a world, and wants these rules to be broken.
func (w *world) check(t *testing.T, want []string) {
	t.Helper()
	report := Check(w.operations, w.log)
	var got []string
	for _, v := range report.Violations {
		got = append(got, v.Rule)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s%v", diff, report.Violations)
	}
}
