package history

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// deferred is the records of a history with two parked commands. c2 is decided after
// a requeue; c4 is parked again, and dropped.
const deferred = `
c1 userCreated
c2 commandParked
c3 commandQueued
c4 commandQueued
c5 commandQueued
o1 parkedRequeued c2
c2 userRenamed
c3 userRenamed
c4 commandParked
o2 parkedRequeued c4
c4 commandParked
o3 parkedDropped c4
c4 commandRefused command-dropped
c5 userDeactivated
o4 commandRefused not-parked
c6 userRenamed`

// parked is a history with these records. The requests are always those of deferred.
func parked(records string) *world {
	w := newWorld()
	w.log.Operators = map[CommandKey]OperatorCommand{
		{alice, "o1"}: {Requeue, ""}, {alice, "o2"}: {Requeue, ""}, {alice, "o3"}: {Drop, "c4"}, {alice, "o4"}: {Requeue, ""},
	}
	for _, c := range []string{"c1 createUser Alice", "c2 renameUser Poison", "c3 renameUser Bob", "c4 renameUser Poison", "c5 deactivateUser", "c6 renameUser Carl"} {
		id, kind, name := fields(c)
		w.operations = append(w.operations, Operation{
			Kind: kind, User: alice, CommandID: id, Name: name, Call: w.tick(), HTTP: http.StatusAccepted, Return: w.tick(), Shared: w.tick(),
		})
	}
	for _, commandID := range []string{"c2", "c4", "c4"} {
		w.errand(Requeue, commandID)
	}
	w.errand(Drop, "c4")
	w.of("c2").HTTP, w.of("c2").Slug, w.of("c2").Shared = http.StatusInternalServerError, "command-parked", 0
	for line := range strings.Lines(records) {
		if line == "\n" {
			continue
		}
		id, recordType, about := fields(line)
		w.append(id, recordType, w.body(id, recordType, about))
	}
	return w
}

// told adds answers: clients and operators learn the right outcomes, and read.
func (w *world) told() *world {
	first := w.errandOf("c2")
	first.HTTP, first.Version = http.StatusOK, 2
	second := w.errandOf("c4")
	second.HTTP, second.Slug = http.StatusInternalServerError, "command-parked"
	w.of(Drop).HTTP, w.of(Drop).Slug = http.StatusConflict, "an operator has dropped the command"
	w.status("c2", "succeeded")
	w.last("c2", Status).Position = w.at(10)
	w.status("c4", "parked")
	w.last("c4", Status).Position = w.at(11)
	for id, is := range map[string]Operation{
		"c2": {HTTP: http.StatusOK, Version: 2}, "c4": {HTTP: http.StatusConflict, Slug: "command-dropped"}, "c5": {HTTP: http.StatusOK, Version: 4},
	} {
		again := *w.of(id)
		again.Call, again.Return = w.tick(), w.tick()
		again.HTTP, again.Slug, again.Version, again.Shared = is.HTTP, is.Slug, is.Version, again.Return
		if is.HTTP == http.StatusOK {
			again.Position = w.at(w.outcome(id).Offset + 1)
		}
		w.operations = append(w.operations, again)
	}
	w.status("c4", "command-dropped")
	w.read()
	return w
}

func fields(line string) (a, b, c string) {
	all := append(strings.Fields(line), "", "")
	return all[0], all[1], all[2]
}

func (w *world) outcome(id string) *entry { return outcomeOf(w.fold().outcomes[CommandKey{alice, id}]) }

// errand adds an operator's operation without an outcome.
func (w *world) errand(kind, commandID string) {
	w.operations = append(w.operations, Operation{Client: -1, Kind: kind, User: alice, CommandID: commandID, Call: w.tick(), Return: w.tick()})
}

// body is the body of a record. The record may be wrong in its place.
func (w *world) body(id, recordType, about string) []byte {
	c := &command{Operation: &Operation{}}
	if i := slices.IndexFunc(w.operations, func(o Operation) bool { return o.CommandID == id }); i >= 0 {
		c.Operation = &w.operations[i]
	}
	switch recordType {
	case eventlog.TypeCommandRefused:
		return fmt.Appendf(nil, `{"problem":%q}`, about)
	case eventlog.TypeParkedRequeued, eventlog.TypeParkedDropped:
		return fmt.Appendf(nil, `{"commandId":%q}`, about)
	case eventlog.TypeCommandParked, eventlog.TypeCommandQueued:
		return append(c.deferredBody()[:len(c.deferredBody())-1], `,"reason":"it panicked"}`...)
	default:
		return c.decide(w.fold().at(alice)).body
	}
}

func TestCheckParked(t *testing.T) {
	t.Parallel()
	records := func(changes ...string) func() *world {
		return func() *world {
			life := deferred
			for i := 0; i < len(changes); i += 2 {
				if strings.Count(life, changes[i]) != 1 {
					t.Errorf("%q is not once in the life", changes[i])
				}
				life = strings.Replace(life, changes[i], changes[i+1], 1)
			}
			return parked(life)
		}
	}
	answers := func(do func(*world)) func() *world {
		return func() *world {
			w := parked(deferred).told()
			do(w)
			return w
		}
	}
	tests := []struct {
		name string
		life func() *world
		want []string
	}{
		{"all is well", answers(func(*world) {}), nil},
		{"the first is dropped, too", func() *world {
			w := parked(strings.Replace(deferred, "o1 parkedRequeued c2\nc2 userRenamed", "o1 parkedDropped c2\nc2 commandRefused command-dropped", 1))
			w.log.Operators[CommandKey{alice, "o1"}] = OperatorCommand{Drop, "c2"}
			w.errandOf("c2").Kind = Drop
			return w
		}, nil},
		{"all decided at once, the fault is gone", func() *world {
			w := parked("c1 userCreated\nc2 userRenamed\nc3 userRenamed\nc4 userRenamed\nc5 userDeactivated\nc6 userRenamed")
			w.of("c2").HTTP = http.StatusServiceUnavailable
			return w
		}, nil},

		{"deferred commands change places", records("c2 userRenamed\nc3 userRenamed", "c3 userRenamed\nc2 userRenamed"), []string{"resumed out of order"}},
		{"a command resumes past a command that is parked again", records("\nc5 userDeactivated", "", "c4 commandParked\no2", "c4 commandParked\nc5 userDeactivated\no2"), []string{"resumed out of order"}},
		{"a command resumes by itself", records("o1 parkedRequeued c2\n", ""), []string{"resumed by nobody"}},
		{"a later command is decided", records("c3 commandQueued", "c3 userRenamed", "c2 userRenamed\nc3 userRenamed", "c2 userRenamed"), []string{"decided past a deferred command"}},
		{"a later command is decided while deferred commands resume", records("\nc6 userRenamed", "", "c2 userRenamed", "c6 userRenamed\nc2 userRenamed"), []string{"decided past a deferred command"}},
		{"a later command is parked, and not queued", records("c4 commandQueued", "c4 commandParked"), []string{"decided past a deferred command"}},
		{"a later command is queued behind nobody", records("c6 userRenamed", "c6 commandQueued"), []string{"still deferred", "wrong decision"}},
		{"a dropped command takes effect", records("c4 commandRefused command-dropped", "c4 userRenamed"), []string{"dropped, and took effect"}},
		{"a dropped command is parked again", records("c4 commandRefused command-dropped", "c4 commandParked\nc4 commandRefused command-dropped"), []string{"resumed by nobody", "parked for no reason", "wrong decision"}},
		{"a command that nobody dropped is refused as dropped", records("c3 userRenamed", "c3 commandRefused command-dropped"), []string{"wrong decision"}},
		{"a dropped command is refused otherwise", records("c4 commandRefused command-dropped", "c4 commandRefused user-deleted"), []string{"not linearizable", "wrong decision"}},
		{"parked for no reason", records("c6 userRenamed", "c6 commandParked"), []string{"parked for no reason", "still deferred"}},
		{"parked again for no reason", records("c3 userRenamed\nc4 commandParked\no2 parkedRequeued c4", "c3 commandParked\no2 parkedRequeued c3\nc3 userRenamed"), []string{"parked for no reason"}},
		{"parked, and its version is another", func() *world {
			w := parked(deferred)
			w.of("c2").Expected = new(uint64)
			return w
		}, []string{"parked for no reason", "wrong decision", "not linearizable"}},
		{"two outcomes", records("c6 userRenamed", "c6 userRenamed\nc2 userRenamed"), []string{"decided twice"}},
		{"deferred again after its outcome", records("c6 userRenamed", "c2 commandQueued\nc6 userRenamed"), []string{"decided past a deferred command", "decided twice", "still deferred", "wrong decision"}},
		{"deferred as another command", func() *world {
			w := parked(deferred)
			w.of("c3").Name = "Eve"
			return w
		}, []string{"wrong decision"}},
		{"a deferred command resumes as its repetition", func() *world {
			w := records("\no4 commandRefused not-parked\nc6 userRenamed", "")()
			w.of("c6").HTTP = http.StatusServiceUnavailable
			delete(w.log.Operators, CommandKey{alice, "o4"})
			r := &w.log.Records[partition][len(w.log.Records[partition])-1]
			r.CommandPosition.Offset = 20
			r.Seal()
			w.log.Commands[partition][20] = CommandKey{alice, "c5"}
			return w
		}, []string{"wrong command"}},
		{"some commands are deferred for ever", records("\nc5 userDeactivated\no4 commandRefused not-parked\nc6 userRenamed", ""), []string{"lost", "still deferred"}},
		{"parked for ever", records("\no2 parkedRequeued c4\nc4 commandParked\no3 parkedDropped c4\nc4 commandRefused command-dropped\nc5 userDeactivated\no4 commandRefused not-parked\nc6 userRenamed", ""), []string{"lost", "still deferred"}},
		{"a user who isn't parked is requeued", records("o4 commandRefused not-parked", "o4 parkedRequeued c4"), []string{"wrong decision"}},
		{"another command is requeued", records("o2 parkedRequeued c4", "o2 parkedRequeued c5"), []string{"wrong decision", "resumed by nobody"}},
		{"another command is dropped", func() *world {
			w := parked(deferred)
			w.log.Operators[CommandKey{alice, "o3"}] = OperatorCommand{Drop, "c5"}
			return w
		}, []string{"sent by nobody", "wrong decision", "resumed by nobody"}},
		{"requeued by nobody", func() *world {
			w := parked(deferred)
			w.of(Requeue).User = "bob"
			return w
		}, []string{"sent by nobody"}},

		{"a 200 for a command that waits", func() *world {
			waiting, _, _ := strings.Cut(deferred, "o1 ")
			w := parked(waiting + "c6 commandQueued")
			w.of("c3").HTTP, w.of("c3").Version = http.StatusOK, 2
			return w
		}, []string{"another outcome", "still deferred"}},
		{"a 200 with the position where the command was queued", answers(func(w *world) {
			w.last("c5", "").Position = w.at(5)
		}), []string{"another outcome"}},
		{"a 200 for a dropped command", answers(func(w *world) {
			w.last("c4", "").HTTP, w.last("c4", "").Version = http.StatusOK, 3
		}), []string{"another outcome"}},
		{"an answer says dropped, and the command took effect", answers(func(w *world) {
			w.last("c2", "").HTTP, w.last("c2", "").Slug = http.StatusConflict, "command-dropped"
		}), []string{"not linearizable", "refused, and took effect"}},
		{"an answer says parked, and the command was queued", func() *world {
			w := parked("c1 userCreated\nc2 commandParked\nc3 commandQueued\nc4 commandQueued\no1 parkedRequeued c2\nc2 userRenamed\nc3 userRenamed\nc4 userRenamed\nc5 userDeactivated\nc6 userRenamed")
			w.of("c4").HTTP, w.of("c4").Slug = http.StatusInternalServerError, "command-parked"
			return w
		}, []string{"another outcome"}},
		{"an answer says parked, and the command isn't poisoned", answers(func(w *world) {
			w.of("c3").HTTP, w.of("c3").Slug = http.StatusInternalServerError, "command-parked"
		}), []string{"another outcome", "unexpected answer"}},
		{"another 500", answers(func(w *world) { w.of("c2").Slug = "internal" }), []string{"unexpected answer"}},
		{"a status of before", answers(func(w *world) { w.last("c4", Status).Slug = "parked" }), []string{"another status"}},
		{"a status of later", answers(func(w *world) { w.of(Status).Position = w.at(5) }), []string{"another status"}},
		{"a status that is not yet", answers(func(w *world) { w.of(Status).Slug = "accepted" }), []string{"another status"}},
		{"an operator is told another version", answers(func(w *world) { w.of(Requeue).Version = 3 }), []string{"another outcome"}},
		{"an operator is told that the command is parked again, and it wasn't", answers(func(w *world) {
			w.of(Requeue).HTTP, w.of(Requeue).Slug = http.StatusInternalServerError, "command-parked"
		}), []string{"another outcome"}},
		{"an operator is told of a refusal that wasn't", answers(func(w *world) {
			w.of(Requeue).HTTP = http.StatusConflict
		}), []string{"another outcome"}},
		{"a fault that is there, and gone", answers(func(w *world) {
			w.fault(w.of("c2").Call, w.of("c2").Return)
			w.fault(w.of("c4").Return, w.now)
		}), nil},
		{"parked, and the fault came later", answers(func(w *world) {
			w.fault(w.of("c2").Return+1, w.now)
		}), []string{"parked for no reason"}},
		{"parked, and the fault was mended before", answers(func(w *world) {
			w.fault(0, w.of("c2").Call-1)
		}), []string{"parked for no reason"}},
		{"decided, and the fault was there", answers(func(w *world) {
			w.fault(w.of("c2").Call-time.Second, w.now+time.Second)
		}), []string{"decided in spite of the fault"}},
		{"decided, and the fault was there in one instance", answers(func(w *world) {
			w.fault(w.of("c2").Call-time.Second, w.now+time.Second)
			w.fault(0, w.of("c2").Return)
			w.operations[len(w.operations)-1].Instance = "another"
		}), nil},
		{"a read goes back behind a deferred command", answers(func(w *world) {
			r := w.read()
			r.Client, r.After, r.Position, r.Version, r.ReadName, r.Active = 1, "", w.at(5), 1, "Alice", true
		}), []string{"not linearizable"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.life().check(t, test.want)
		})
	}
}

// at is the token of an offset.
func (w *world) at(offset int64) string {
	return eventlog.EncodePosition(eventlog.Position{partition: offset})
}

// last is the last try of a command, or the last status request.
func (w *world) last(id, kind string) *Operation {
	for i := range slices.Backward(w.operations) {
		if o := &w.operations[i]; o.CommandID == id && (o.Kind == kind || kind == "" && o.IsCommand()) {
			return o
		}
	}
	return nil
}

// fault breaks the domain for a time.
func (w *world) fault(from, to time.Duration) {
	w.operations = append(w.operations, Operation{Client: -1, Kind: Broken, Call: from, Return: to})
}

// errandOf is an operator's first operation about a command.
func (w *world) errandOf(commandID string) *Operation {
	i := slices.IndexFunc(w.operations, func(o Operation) bool { return o.IsOperator() && o.CommandID == commandID })
	return &w.operations[i]
}
