package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/unique"
	"github.com/millrace/millrace/testing/protocol"
	"github.com/millrace/millrace/testing/protocol/fence"
)

// Package protocol is a model of the processor, and a search for faults in the
// model. Here real processors go random ways through the model's scenarios, and
// must append the same records and mark the same offsets at each step.
func TestProcessorsFollowTheProtocol(t *testing.T) {
	binary := runsBinary(t)
	for _, scenario := range protocol.Scenarios() {
		t.Run(scenario.Name, func(t *testing.T) {
			for seed := range uint64(200) {
				synctest.Test(t, func(t *testing.T) {
					w := newWalk(t, scenario, binary, seed)
					for step := range protocol.Walk(scenario, seed) {
						w.story = append(w.story, step.Text...)
						if err := w.step(&step); err != nil {
							t.Fatalf("seed %d: %v after:\n%s", seed, err, strings.Join(w.story, "\n"))
						}
					}
				})
			}
		})
	}
}

// walk is a scenario in the hands of two command services.
type walk struct {
	t        *testing.T
	scenario *protocol.Scenario
	binary   *protocol.Binary // decides at this step
	services [2]*walker
	topic    uint8 // which of the two topics commands is there

	// luck, if not nil, writes the state stores to disk now and then: then nothing
	// stays in memory, and a crash loses what was written last.
	luck *rand.Rand

	log      []eventlog.Record
	accepted []bool // by the gate, of the log's records
	heads    map[string]eventlog.Head
	records  map[int]*eventlog.Record // by the model's ids
	story    []string
}

// walker is one of two command services.
type walker struct {
	folded    int // records of the log
	states    *StateStore
	disk      *memDisk // nil for none
	processor *processor
	assigned  *assigned // nil before the first assignment
	marked    int
	clock     time.Time
	sent      []sentRecord
	air       []sentRecord
}

// sentRecord is an append whose end is not known.
type sentRecord struct {
	record    *eventlog.Record
	delivered func(error)
}

func newWalk(t *testing.T, scenario *protocol.Scenario, binary *protocol.Binary, seed uint64) *walk {
	w := &walk{
		t: t, scenario: scenario, binary: binary,
		heads: map[string]eventlog.Head{}, records: map[int]*eventlog.Record{0: {}},
	}
	if seed%2 == 1 {
		w.luck = rand.New(rand.NewPCG(seed, 2))
	}
	for i := range w.services {
		w.services[i] = new(walker)
		w.restart(i)
	}
	w.assign(0, 0)
	return w
}

func (w *walk) restart(who int) {
	of := olderRegistry
	if w.scenario.Handlers[who].New {
		of = registry
	}
	s := new(walker)
	remember := int(w.scenario.Handlers[who].Remember)
	if w.luck == nil {
		s.states = NewStateStore(nil, of, 1, remember, slog.New(slog.DiscardHandler))
	} else {
		if s.disk = newMemDisk(); w.services[who].disk != nil {
			s.disk = w.services[who].disk.crashed(func(writes int) int { return w.luck.IntN(writes + 1) })
		}
		s.states = diskOpened(w.t, of, remember, s.disk, 1)
	}
	s.processor = s.states.processors[0]
	s.clock = time.UnixMilli(0)
	if was := w.services[who]; was != nil && was.processor != nil {
		s.clock = was.clock
	}
	s.processor.now = func() time.Time { return s.clock }
	s.folded = int(s.processor.folded.Next())
	w.services[who] = s
}

// write writes a state store to disk, perhaps.
func (w *walk) write(s *walker) {
	if w.luck == nil || w.luck.IntN(3) > 0 {
		return
	}
	written(w.t, s.states)
	if w.luck.IntN(4) == 0 {
		_ = s.disk.Flush()
	}
	for _, c := range s.processor.streams {
		if c.pins == 0 {
			w.t.Fatalf("stream %s is in memory", c.name)
		}
	}
}

// step does the model's step, and compares.
func (w *walk) step(step *protocol.Step) error {
	*w.binary = w.scenario.Handlers[step.Who]
	s := w.services[step.Who]
	switch step.Deed {
	case protocol.Takes:
		envelope, command := w.command(step.At)
		if !knows(s.processor.registry, envelope.Type) {
			command = unknownCommand{envelope.Type, idOf(envelope.Stream)}
		}
		if !s.processor.take(s.assigned, envelope, command) {
			return errors.New("it was not taken")
		}
	case protocol.Lands:
		s.drop(w.records[step.Append.ID])(nil)
		return w.land(step)
	case protocol.Lingers:
		return w.land(step)
	case protocol.Hears:
		s.drop(w.records[step.Append.ID])(errors.New("no ack"))
		synctest.Wait()
		if s.assigned.retry != nil {
			s.assigned.retry.Stop() // the model says when
		}
	case protocol.Retries:
		s.processor.sendAgain(s.assigned)
	case protocol.Reads:
		for !w.accepted[s.folded] {
			w.read(s)
		}
		w.read(s)
	case protocol.Assigns:
		w.assign(step.Who, step.At)
	case protocol.Crashes:
		w.restart(step.Who)
	case protocol.Recreate:
		w.topic = 1
	case protocol.Ticks:
		s.clock = s.clock.Add(time.Second)
		if s.assigned != nil {
			noError(s.processor.look(s.assigned))
		}
	case protocol.Jumps:
		s.clock = time.UnixMilli(0)
	}
	w.write(w.services[step.Who])
	return w.compare(step)
}

// command is a scenario's command, as the gateway would make the command.
func (w *walk) command(at int) (eventlog.Envelope, aggregate.AnyCommand) {
	c := w.scenario.Commands[at]
	user := users.ID(fmt.Sprint(c.User))
	name := users.Aggregate.Stream(string(user))
	var command aggregate.AnyCommand
	switch c.Verb {
	case protocol.Requeue:
		command = &RequeueParked{Stream: name}
	case protocol.Drop:
		command = &DropParked{Stream: name, CommandID: idText(c.Drops)}
	case protocol.Cancel:
		command = &CancelScheduled{Stream: name, CommandID: w.cancelled(&c)}
	case protocol.Novel:
		command = &novelCommand{ID: user, Name: users.Name(fmt.Sprint("n", c.Name))}
	case protocol.Take, protocol.Deny:
		i := slices.IndexFunc(w.scenario.Commands, func(asks protocol.Command) bool { return asks.ID == c.Answers })
		command = &unique.AnswerClaim{
			Stream: name, CommandID: idText(c.Answers), Taken: c.Verb == protocol.Take,
			Claim: aggregate.ClaimStream("name", string(nameOfWalkers(&w.scenario.Commands[i]))),
		}
	default:
		command = &walkersCommand{ID: user, Name: nameOfWalkers(&c), Verb: c.Verb}
	}
	body := EncodeBody(command)
	_, offset := w.scenario.PositionOf(uint8(at))
	envelope := eventlog.Envelope{
		Offset: int64(offset), ID: idOfWalkers(&c), Type: command.Type(), Stream: name, Origin: originOf(&c),
		Time: time.Unix(int64(c.At), 0).UTC(), Hash: string(body), Body: body,
	}
	if c.NotBefore > 0 {
		envelope.NotBefore = time.Unix(int64(c.NotBefore), 0).UTC()
	}
	if c.Expects > 0 {
		version := uint64(c.Expects - 1)
		envelope.ExpectedVersion = &version
	}
	return envelope, command
}

// uniqueName begins the names that no two users may have.
const uniqueName = "unique "

// nameOfWalkers is the name in a command of the older binary.
func nameOfWalkers(c *protocol.Command) users.Name {
	if c.Verb == protocol.Unique {
		return users.Name(fmt.Sprint(uniqueName, c.Name))
	}
	return users.Name(fmt.Sprint("n", c.Name))
}

// claimsOfWalkers are the claims of a user's name. Both binaries compare alike.
func claimsOfWalkers(u users.User) []aggregate.Claim {
	name := strings.TrimPrefix(string(u.Name), newerName)
	if !strings.HasPrefix(name, uniqueName) {
		return nil
	}
	return []aggregate.Claim{{Name: "name", Value: name, Refusal: users.ErrExists}}
}

// cancelled is the id of the command that a Cancel names.
func (w *walk) cancelled(cancel *protocol.Command) string {
	i := slices.IndexFunc(w.scenario.Commands, func(c protocol.Command) bool { return c.ID == cancel.Cancels })
	return idOfWalkers(&w.scenario.Commands[i])
}

func idText(id uint8) string { return fmt.Sprint("id", id) }

// originOf is the origin of a reaction's command, nil for a client's. The two
// cause streams are 0 and 1.
func originOf(c *protocol.Command) *eventlog.Origin {
	if c.Cause == 0 {
		return nil
	}
	stream := func(n uint8) string { return users.Aggregate.Stream(fmt.Sprint("cause", n)) }
	o := &eventlog.Origin{
		Reaction: "walk", Cause: eventlog.Cause{TopicID: "events", Offset: int64(c.Cause), N: 1}, Subject: stream(c.CauseStream), Depth: 1,
	}
	for n := range uint8(fence.Streams) {
		if c.Open&fence.Bit(n) != 0 {
			o.Open = append(o.Open, stream(n))
		}
	}
	return o
}

// idOfWalkers is the id of a command, by the cause if the command has one.
func idOfWalkers(c *protocol.Command) string {
	if origin := originOf(c); origin != nil {
		return origin.CommandID()
	}
	return idText(c.ID)
}

// land puts a record into the log.
func (w *walk) land(step *protocol.Step) error {
	r := *w.records[step.Append.ID]
	r.Offset = int64(len(w.log))
	head, accepted := w.heads[r.Stream].Accept(&r)
	w.heads[r.Stream] = head
	w.log, w.accepted = append(w.log, r), append(w.accepted, accepted)
	if accepted != step.Accepted {
		return fmt.Errorf("accepted is %v, the model says %v", accepted, step.Accepted)
	}
	return nil
}

// read folds the next record.
func (w *walk) read(s *walker) {
	r := w.log[s.folded]
	s.folded++
	if w.binary.Blind && strings.Contains(string(r.Body), newerName) {
		r.Type = "userNewlyNamed"
	}
	noError(s.processor.fold([]eventlog.Record{r}))
}

// assign does the work of [Dispatcher.Cleanup] and [Dispatcher.Setup].
func (w *walk) assign(who, next int) {
	s := w.services[who]
	if s.assigned != nil {
		ended, cancel := context.WithCancel(w.t.Context())
		cancel()
		s.processor.close(ended, s.assigned)
	}
	for s.folded < len(w.log) {
		w.read(s)
	}
	topic, start := w.topic, 0
	switch {
	case w.scenario.Cut:
		topic = 0
	case topic == 1:
		start = int(w.scenario.Recreated)
	}
	s.marked, s.air = next, nil
	assignment := kafka.NewAssignment(w.t.Context(), 0, func(next int64) { s.marked = start + int(next) })
	s.assigned = newAssigned(assignment, fmt.Sprint("topic", topic), func(r *eventlog.Record, delivered func(error)) {
		s.sent = append(s.sent, sentRecord{r, delivered})
	})
	s.assigned.maxDeferred, s.assigned.maxDue = protocol.MaxDeferred, protocol.MaxDue
	noError(s.processor.assign(s.assigned))
}

// drop takes an append out of the air, and returns the append's callback.
func (s *walker) drop(r *eventlog.Record) (delivered func(error)) {
	i := slices.IndexFunc(s.air, func(a sentRecord) bool { return a.record.Digest == r.Digest })
	delivered = s.air[i].delivered
	s.air = slices.Delete(s.air, i, i+1)
	return delivered
}

// compare compares appends and marks with the model.
func (w *walk) compare(step *protocol.Step) error {
	for i, s := range w.services {
		if s.assigned != nil && s.marked != step.Marked[i] {
			return fmt.Errorf("%d has marked %d, the model %d", i, s.marked, step.Marked[i])
		}
	}
	s := w.services[step.Who]
	sent := s.sent
	s.air, s.sent = append(s.air, sent...), nil
	if len(sent) != len(step.Sent) {
		return fmt.Errorf("it sent %d records, the model %d", len(sent), len(step.Sent))
	}
	byStream := func(a, b sentRecord) int { return strings.Compare(a.record.Stream, b.record.Stream) }
	slices.SortStableFunc(sent, byStream) // the processor's order is any
	for i, want := range step.Sent {
		if err := w.same(sent[i].record, want); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) same(got *eventlog.Record, want protocol.Append) error {
	c := w.scenario.Commands[want.Command]
	known := w.records[want.ID]
	switch {
	case got.Stream != users.Aggregate.Stream(fmt.Sprint(c.User)), got.CommandID != idOfWalkers(&c), got.Seq != uint64(want.Seq), got.Version != uint64(want.Version):
	case got.Prev != w.records[want.Prev].Digest:
	case known == nil || known.Digest == got.Digest:
		w.records[want.ID] = got
		return nil
	}
	return fmt.Errorf("it sent %+v, the model %+v", *got, want)
}
