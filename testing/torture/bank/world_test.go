package bank

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"example.com/bank/reactions/transferring"
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/testing/torture/history"
)

// world is a bank that keeps all promises, with one client. Nothing happens at the
// same time.
type world struct {
	t        *testing.T
	registry *aggregate.Registry
	now      time.Time
	began    time.Time
	log      *Log
	history  *History
	heads    map[string]*eventlog.Record
	states   map[string]any
	timers   []timer
	queue    []func()          // the commands that the reaction sends next
	owners   map[string]string // of numbers, by claim
}

// timer is a scheduled command.
type timer struct {
	stream, id string
	command    aggregate.AnyCommand
	origin     *eventlog.Origin
	at         time.Time
}

const topicID = "events-topic"

func newWorld(t *testing.T) *world {
	registry, err := aggregate.NewRegistry(accounts.Aggregate, transfers.Aggregate)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	return &world{
		t: t, registry: registry, now: began, began: began, history: &History{},
		log: &Log{
			Partitions: 4, TopicID: topicID, Records: map[int32][]eventlog.Record{}, Appended: map[Place]time.Time{},
			Published: map[string][]Published{"account": nil, "transfer": nil},
		},
		heads: map[string]*eventlog.Record{}, states: map[string]any{}, owners: map[string]string{},
	}
}

// append appends a record that counts.
func (w *world) append(r eventlog.Record) *eventlog.Record {
	w.now = w.now.Add(time.Millisecond)
	r.Partition = eventlog.PartitionOf(r.Stream, w.log.Partitions)
	r.Offset = int64(len(w.log.Records[r.Partition]))
	r.Seq = 1
	if head := w.heads[r.Stream]; head != nil {
		r.Seq, r.Prev, r.Version = head.Seq+1, head.Digest, head.Version
	}
	if eventlog.IsEvent(r.Type) {
		r.Version++
	}
	r.ID = fmt.Sprintf("%s#%d", r.Stream, r.Seq)
	if r.Time.IsZero() {
		r.Time = w.now
	}
	r.Seal()
	w.log.Records[r.Partition] = append(w.log.Records[r.Partition], r)
	w.log.Appended[Place{Partition: r.Partition, Offset: r.Offset}] = w.now
	head := r
	w.heads[r.Stream] = &head
	if of, _ := w.registry.OfStream(r.Stream); of != nil && eventlog.IsEvent(r.Type) {
		w.log.Published[of.Name()] = append(w.log.Published[of.Name()], Published{r.Stream, r.ID, r.Type, r.Version, r.Body})
	}
	return &head
}

// refuse appends a refusal.
func (w *world) refuse(r eventlog.Record, slug string) *eventlog.Record {
	r.Type, r.Body = eventlog.TypeCommandRefused, fmt.Appendf(nil, `{"problem":%q}`, slug)
	return w.append(r)
}

// decide decides a command, and lets the reaction answer.
func (w *world) decide(r eventlog.Record, c aggregate.AnyCommand) *eventlog.Record {
	w.t.Helper()
	of, id := w.registry.OfStream(r.Stream)
	event, err := of.Decide(w.states[r.Stream], c)
	seen := reaction.Record{Stream: r.Stream, AggregateID: id}
	var no *aggregate.Refusal
	var end *eventlog.Record
	switch {
	case errors.As(err, &no):
		end = w.refuse(r, no.Slug)
		seen.Ended = &reaction.Ended{Command: c, Refusal: no.Slug}
	case err != nil:
		w.t.Fatal(err)
	case event == nil:
		r.Type, r.Body = eventlog.TypeCommandUnchanged, []byte(`{}`)
		end = w.append(r)
		seen.Ended = &reaction.Ended{Command: c}
	default:
		if r.Body, err = of.EncodeEvent(event); err != nil {
			w.t.Fatal(err)
		}
		r.Type = event.Type()
		w.states[r.Stream] = of.Apply(w.states[r.Stream], event)
		end = w.append(r)
		if seen.Event, err = of.DecodeEvent(r.Type, r.Body); err != nil {
			w.t.Fatal(err)
		}
		w.giveBack(end, event)
	}
	if seen.Ended != nil && r.Origin == nil {
		return end // the reaction sees the ends of its own commands
	}
	seen.Seq, seen.Version, seen.Time = end.Seq, end.Version, end.Time
	commands, err := transferring.Reaction.Answer(w.registry, seen)
	if err != nil {
		w.t.Fatal(err)
	}
	for i, c := range commands {
		origin := w.origin(transferring.Reaction.Name, end, i+1)
		w.queue = append(w.queue, func() { w.send(c, origin) })
	}
	return end
}

// work lets the reaction send all commands.
func (w *world) work() {
	for len(w.queue) > 0 {
		next := w.queue[0]
		w.queue = w.queue[1:]
		next()
	}
}

func (w *world) origin(of string, cause *eventlog.Record, n int) *eventlog.Origin {
	return &eventlog.Origin{
		Reaction: of, Subject: cause.Stream, Depth: 1,
		Cause: eventlog.Cause{TopicID: topicID, Partition: cause.Partition, Offset: cause.Offset, N: n},
	}
}

// send sends a command of the reaction.
func (w *world) send(c reaction.Command, origin *eventlog.Origin) {
	r := eventlog.Record{Stream: c.Stream(w.registry), CommandID: origin.CommandID(), Origin: origin}
	command, err := pointerTo(w.registry, c.Command)
	if err != nil {
		w.t.Fatal(err)
	}
	switch {
	case c.Cancel:
		w.cancel(r, c.Command.Type())
	case !c.NotBefore.IsZero():
		w.schedule(r, command, c.NotBefore)
	default:
		w.decide(r, command)
	}
}

func (w *world) schedule(r eventlog.Record, c aggregate.AnyCommand, at time.Time) {
	r.Type, r.Body = eventlog.TypeCommandScheduled, []byte(`{}`)
	w.append(r)
	w.timers = append(w.timers, timer{r.Stream, r.CommandID, c, r.Origin, at})
}

// cancel cancels the first timer of a type in a stream.
func (w *world) cancel(r eventlog.Record, commandType string) {
	for i, t := range w.timers {
		if t.stream == r.Stream && t.command.Type() == commandType {
			w.timers = append(w.timers[:i:i], w.timers[i+1:]...)
			r.Type, r.Body = eventlog.TypeScheduledCancelled, []byte(`{}`)
			w.append(r)
			w.refuse(eventlog.Record{Stream: t.stream, CommandID: t.id, Origin: t.origin, Time: t.at}, "command-cancelled")
			return
		}
	}
	w.refuse(r, "not-scheduled")
}

// pass lets time pass, and decides what is due.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for i := 0; i < len(w.timers); {
		t := w.timers[i]
		if t.at.After(w.now) {
			i++
			continue
		}
		w.timers = append(w.timers[:i:i], w.timers[i+1:]...)
		w.decide(eventlog.Record{Stream: t.stream, CommandID: t.id, Origin: t.origin, Time: t.at}, t.command)
		w.work()
		i = 0
	}
}

// giveBack gives the number of a closed account back.
func (w *world) giveBack(end *eventlog.Record, event aggregate.AnyEvent) {
	if event.Type() != "accountClosed" {
		return
	}
	for claim, owner := range w.owners {
		if owner == end.Stream {
			delete(w.owners, claim)
			origin := w.origin("unique", end, 1)
			w.append(eventlog.Record{Stream: claim, Type: valueReleased, Body: []byte(`{}`), Origin: origin, CommandID: origin.CommandID()})
		}
	}
}

// open opens an account of a client, with the steps of a claim.
func (w *world) open(r eventlog.Record, c *accounts.OpenAccount) *eventlog.Record {
	if a, _ := w.states[r.Stream].(accounts.Account); a.Status != accounts.Absent {
		return w.decide(r, c)
	}
	claim := aggregate.ClaimStream("account-number", string(c.Number))
	waits := r
	waits.Type, waits.Body, waits.Asks = eventlog.TypeCommandClaiming, []byte(`{}`), []string{claim}
	origin := w.origin("unique", w.append(waits), 1)
	take := eventlog.Record{Stream: claim, Type: valueTaken, Body: []byte(`{}`), Origin: origin, CommandID: origin.CommandID()}
	taken := w.owners[claim] == ""
	var end *eventlog.Record
	if taken {
		w.owners[claim] = r.Stream
		end = w.append(take)
	} else {
		end = w.refuse(take, "value-taken")
	}
	answer := w.origin("unique", end, 1)
	w.append(eventlog.Record{Stream: r.Stream, Type: eventlog.TypeClaimAnswered, Body: []byte(`{}`), Origin: answer, CommandID: answer.CommandID()})
	if !taken {
		return w.refuse(r, accounts.ErrNumberTaken.Slug)
	}
	return w.decide(r, c)
}

// command sends a client's command, and waits for the outcome.
func (w *world) command(c aggregate.AnyCommand) *Sent {
	w.t.Helper()
	command, err := pointerTo(w.registry, c)
	if err != nil {
		w.t.Fatal(err)
	}
	s := w.sent(command)
	r := eventlog.Record{Stream: s.User, CommandID: s.CommandID}
	var end *eventlog.Record
	if open, ok := command.(*accounts.OpenAccount); ok {
		end = w.open(r, open)
	} else {
		end = w.decide(r, command)
	}
	w.work()
	s.HTTP, s.Version = http.StatusOK, end.Version
	if s.Slug = (&entry{Record: end}).slug(); s.Slug != "" {
		s.HTTP, s.Version = http.StatusConflict, 0
	}
	s.Return = w.clock()
	w.history.Commands = append(w.history.Commands, s)
	return &w.history.Commands[len(w.history.Commands)-1]
}

// later sends a client's command for a later time.
func (w *world) later(c aggregate.AnyCommand, d time.Duration) {
	w.t.Helper()
	command, err := pointerTo(w.registry, c)
	if err != nil {
		w.t.Fatal(err)
	}
	s := w.sent(command)
	s.NotBefore, s.HTTP = w.now.Add(d), http.StatusAccepted
	w.schedule(eventlog.Record{Stream: s.User, CommandID: s.CommandID}, command, s.NotBefore)
	s.Return = w.clock()
	w.history.Commands = append(w.history.Commands, s)
}

func (w *world) sent(c aggregate.AnyCommand) Sent {
	payload, err := json.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	w.now = w.now.Add(time.Millisecond)
	return Sent{Operation: history.Operation{
		Kind: c.Type(), User: w.registry.OfCommand(c.Type()).Stream(c.AggregateID()),
		CommandID: fmt.Sprintf("c%d", len(w.history.Commands)+1), Call: w.clock(),
	}, Payload: payload}
}

func (w *world) clock() time.Duration { return w.now.Sub(w.began) }

// read reads all money, after the last record.
func (w *world) read() *Read {
	f, _ := foldLog(w.log)
	position := eventlog.Position{}
	var m Money
	for _, e := range f.entries {
		m = m.after(e)
		position[e.Partition] = e.Offset + 1
	}
	at := eventlog.EncodePosition(position)
	w.history.Reads = append(w.history.Reads, Read{history.Operation{Kind: history.Read, HTTP: 200, Position: at, After: at, Call: w.clock(), Return: w.clock()}, m})
	return &w.history.Reads[len(w.history.Reads)-1]
}

// good is a history with every way in which a transfer ends, and a number that
// changes its account.
func good(t *testing.T) *world {
	w := newWorld(t)
	w.read()
	transfer := func(id, to values.ID, amount values.Amount, accept bool) {
		w.command(transfers.RequestTransfer{ID: id, From: "alice", To: to, Amount: amount, NeedsAcceptance: accept, WithinSeconds: 5})
	}
	w.command(accounts.OpenAccount{ID: "alice", Number: "DE021203"})
	w.command(accounts.OpenAccount{ID: "bob", Number: "FR143000"})
	w.command(accounts.OpenAccount{ID: "carol", Number: "DE021203"}) // refused
	w.command(accounts.Deposit{ID: "alice", Amount: 1000})
	w.read()
	transfer("rent", "bob", 300, false)
	w.read()
	transfer("gift", "bob", 100, true)
	transfer("loan", "bob", 50, true)
	w.read()
	w.command(transfers.AcceptTransfer{ID: "loan"})
	w.pass(10 * time.Second) // the gift is paid back
	transfer("lost", "dave", 200, false)
	transfer("poor", "bob", 5000, false)
	w.command(accounts.Withdraw{ID: "alice", Amount: 650})
	w.later(accounts.Deposit{ID: "bob", Amount: 7}, time.Second)
	w.pass(2 * time.Second)
	w.command(accounts.CloseAccount{ID: "alice"})
	w.command(accounts.OpenAccount{ID: "erin", Number: "DE021203"})
	w.read()
	return w
}
