package decider

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/unique"
)

func TestAClaimIsTakenKeptAndGivenBack(t *testing.T) {
	b := serveBoxes(t)
	b.put(
		sent("1", "x", keysFor("x", "A")),
		sent("2", "x", keysFor("x", "a")), // the same by the rule of the domain
		sent("3", "x", keysFor("x", "b")),
		sent("4", "x", keysFor("x", "b")),
		sent("5", "x", keysFor("x")),
	)
	for _, id := range []string{"1", "2", "3", "4", "5"} {
		if o := b.end("x", id); o.Kind != Succeeded {
			t.Fatalf("command %s: %+v", id, o)
		}
	}
	for _, key := range []string{"a", "b"} {
		if owner := b.owner(key); owner != "" {
			t.Errorf("box %s has key %s", owner, key)
		}
	}
	b.wants("box/x", "commandClaiming 1 asks a, commandQueued 2, commandQueued 3, commandQueued 4, commandQueued 5, "+
		"claimAnswered, keysSet 1, keysSet 2, commandClaiming 3 asks b, claimAnswered, keysSet 3 releases a, commandUnchanged 4, keysSet 5 releases b")
	b.wants(keyStream("a"), "valueTaken, valueReleased")
	b.set("6", "x", "b")
	b.end("x", "6")
	if err := b.states.CheckClaims(t.Context()); err != nil {
		t.Error(err)
	}
}

// owners checks who has the keys a, b and c, "-" for nobody.
func (b *boxes) owners(want string) {
	b.t.Helper()
	var got []string
	for _, key := range []string{"a", "b", "c"} {
		owner := b.owner(key)
		if owner == "" {
			owner = "-"
		}
		got = append(got, owner)
	}
	if text := strings.Join(got, " "); text != want {
		b.t.Errorf("keys a, b and c belong to %s, want %s", text, want)
	}
}

func TestOneRacerHasTheValue(t *testing.T) {
	const racers = 16
	b := serveBoxes(t)
	for i := range racers {
		b.set("1", fmt.Sprint("x", i), "a")
	}
	won := ""
	for i := range racers {
		box := fmt.Sprint("x", i)
		switch o := b.end(box, "1"); {
		case o.Kind == Succeeded && won == "":
			won = box
		case o.Kind != Refused || o.Refusal.Slug != "key-taken" || o.Refusal.Kind != aggregate.Conflict:
			t.Errorf("box %s: %+v, and box %s has the key", box, o, won)
		}
	}
	if owner := b.owner("a"); owner != won || won == "" {
		t.Errorf("box %q has won, and box %q owns the key", won, owner)
	}
}

func TestSeveralValuesAreTakenInTurn(t *testing.T) {
	b := serveBoxes(t)
	first, second := "a", "b"
	if keyStream(first) > keyStream(second) {
		first, second = second, first
	}
	b.set("1", "x", "b", "a", "B")
	if o := b.end("x", "1"); o.Kind != Succeeded {
		t.Fatalf("%+v", o)
	}
	b.wants("box/x", fmt.Sprintf("commandClaiming 1 asks %s, claimAnswered, commandClaiming 1 asks %s, claimAnswered, keysSet 1", first, second))
	b.set("2", "x", "c", "a")
	b.end("x", "2")
	b.owners("x - x")
}

// A command with two values has taken one when the other is another stream's.
func TestWhatWasTakenForARefusedCommandIsGivenBack(t *testing.T) {
	b := serveBoxes(t)
	first, second := "a", "b"
	if keyStream(first) > keyStream(second) {
		first, second = second, first
	}
	b.set("1", "x", second)
	b.end("x", "1")
	b.set("1", "y", "c")
	b.end("y", "1")
	b.set("2", "y", "a", "b", "c")
	if o := b.end("y", "2"); o.Kind != Refused || o.Refusal.Slug != "key-taken" {
		t.Fatalf("%+v", o)
	}
	b.owner("a") // the reaction is done
	b.wants("box/y", fmt.Sprintf("commandClaiming 1 asks c, claimAnswered, keysSet 1, commandClaiming 2 asks %s, claimAnswered, "+
		"commandClaiming 2 asks %s, claimAnswered, commandRefused 2 releases %s", first, second, first))
	b.set("3", "x", first)
	if o := b.end("x", "3"); o.Kind != Succeeded {
		t.Errorf("the value that was given back: %+v", o)
	}
}

// operate sends an operator's command for box x.
func (b *boxes) operate(id, commandType string) {
	body := `{"stream":"box/x"}`
	if commandType == typeDropParked {
		body = `{"stream":"box/x","commandId":"1"}`
	}
	b.put(eventlog.Envelope{ID: id, Type: commandType, Stream: "box/x", Body: []byte(body)})
}

// parkedWithKey makes a box x whose first command has taken key a, and then is
// parked: the rule has become touchy meanwhile.
func parkedWithKey(t *testing.T) *boxes {
	t.Helper()
	var b *boxes
	b = serveBoxesWith(t, func(heads map[string]eventlog.Head, r *eventlog.Record) {
		if r.Stream == keyStream("a") {
			touchyPanics.Store(true) // before the answer
		}
		b.react(heads, r)
	})
	t.Cleanup(func() { touchyPanics.Store(false) })
	b.put(sent("1", "x", setKeys{ID: "x", Keys: []string{"a"}, Touchy: true}), sent("2", "x", keysFor("x", "b")))
	if o := b.end("x", "1"); o.Kind != Parked {
		t.Fatalf("%+v", o)
	}
	b.owners("x - -")
	return b
}

func TestAParkedCommandKeepsItsClaim(t *testing.T) {
	b := parkedWithKey(t)
	b.set("1", "y", "a")
	if o := b.end("y", "1"); o.Kind != Refused {
		t.Errorf("another box: %+v", o)
	}
	touchyPanics.Store(false)
	b.operate("r", typeRequeueParked)
	if o := b.end("x", "2"); o.Kind != Succeeded {
		t.Errorf("%+v", o)
	}
	b.owners("- x -")
	b.wants("box/x", "commandClaiming 1 asks a, commandQueued 2, claimAnswered, commandParked 1, parkedRequeued r, keysSet 1, "+
		"commandClaiming 2 asks b, claimAnswered, keysSet 2 releases a")
}

func TestADroppedCommandGivesItsClaimBack(t *testing.T) {
	b := parkedWithKey(t)
	b.operate("d", typeDropParked)
	if o := b.end("x", "2"); o.Kind != Succeeded {
		t.Errorf("%+v", o)
	}
	b.owners("- x -")
	b.wants("box/x", "commandClaiming 1 asks a, commandQueued 2, claimAnswered, commandParked 1, parkedDropped d, commandRefused 1 releases a, "+
		"commandClaiming 2 asks b, claimAnswered, keysSet 2")
}

// While a command waits for a claim, the stream waits for nobody's help.
func TestACommandThatClaimsIsNotParked(t *testing.T) {
	b := serveBoxesWith(t, func(map[string]eventlog.Head, *eventlog.Record) {}) // nobody answers
	b.set("1", "x", "a")
	b.set("2", "x", "b")
	b.set("1", "x", "a")
	b.operate("d", typeDropParked)
	b.operate("r", typeRequeueParked)
	for _, id := range []string{"d", "r"} {
		if o := b.end("x", id); o.Kind != Refused || o.Refusal.Slug != "not-parked" {
			t.Errorf("%s: %+v", id, o)
		}
	}
	b.wants("box/x", "commandClaiming 1 asks a, commandQueued 2, commandRefused d, commandRefused r")
	if waiting := b.states.Parked(); len(waiting) > 0 {
		t.Errorf("waiting for help: %+v", waiting)
	}
	var body deferredBody
	if err := json.Unmarshal(b.log.accepted()["box/x"][1].Body, &body); err != nil || body.Reason != eventlog.ReasonBehindClaim {
		t.Errorf("the reason is %q, %v", body.Reason, err)
	}
}

// An answer that no command waits for changes nothing.
func TestAStrayAnswerChangesNothing(t *testing.T) {
	b := serveBoxesWith(t, func(map[string]eventlog.Head, *eventlog.Record) {})
	b.set("1", "x", "a")
	for n, answer := range []unique.AnswerClaim{
		{CommandID: "2", Claim: keyStream("a"), Taken: true},
		{CommandID: "1", Claim: keyStream("b"), Taken: true},
		{CommandID: "1", Claim: keyStream("a"), Taken: true},
		{CommandID: "1", Claim: keyStream("a")},
	} {
		answer.Stream = "box/x"
		origin := &eventlog.Origin{Reaction: unique.Name, Cause: eventlog.Cause{TopicID: "e", Offset: int64(100 + n), N: 1}, Subject: "unique/a", Depth: 1}
		b.put(eventlog.Envelope{ID: origin.CommandID(), Type: answer.Type(), Stream: "box/x", Origin: origin, Body: EncodeBody(answer)})
	}
	b.end("x", "1")
	b.wants("box/x", "commandClaiming 1 asks a, commandUnchanged, commandUnchanged, claimAnswered, keysSet 1, commandUnchanged")
}

// Nobody but the router can send what takes, gives or answers.
func TestTheRoutersOwnCommandsOfClaims(t *testing.T) {
	withBoxes(t)
	for _, c := range []aggregate.AnyCommand{
		&unique.TakeClaim{ID: "key/1", Stream: "box/x", CommandID: "1"},
		&unique.GiveClaim{ID: "key/1", Stream: "box/x"},
		&unique.AnswerClaim{Stream: "box/x", CommandID: "1", Claim: "unique/key/1", Taken: true},
	} {
		for _, origin := range []*eventlog.Origin{nil, {Reaction: "other"}} {
			envelope := eventlog.Envelope{ID: "1", Type: c.Type(), Stream: streamOf(registry, c), Origin: origin, Body: EncodeBody(c)}
			if origin != nil {
				envelope.ID = origin.CommandID()
			}
			if _, err := readCommand(registry, &envelope); !undecodable(err) {
				t.Errorf("%s by %v: %v", c.Type(), origin, err)
			}
		}
	}
}

func TestAClaimThatIsTooLong(t *testing.T) {
	b := serveBoxes(t)
	b.set("1", "x", strings.Repeat("a", 256))
	if o := b.end("x", "1"); o.Kind != Succeeded {
		t.Errorf("256 bytes: %+v", o)
	}
	b.set("2", "x", strings.Repeat("a", 257))
	if o := b.end("x", "2"); o.Kind != Refused || o.Refusal.Slug != "claim-too-long" || o.Refusal.Kind != aggregate.Invalid {
		t.Errorf("257 bytes: %+v", o)
	}
}

// What waits for claims is the same after a restart.
func TestClaimsOnDisk(t *testing.T) {
	b := serveBoxesWith(t, func(map[string]eventlog.Head, *eventlog.Record) {})
	b.set("1", "x", "a", "b")
	first, second := "a", "b"
	if keyStream(first) > keyStream(second) {
		first, second = second, first
	}
	answer := unique.AnswerClaim{Stream: "box/x", CommandID: "1", Claim: keyStream(first), Taken: true}
	origin := &eventlog.Origin{Reaction: unique.Name, Cause: eventlog.Cause{TopicID: "e", Offset: 9, N: 1}, Subject: "unique/a", Depth: 1}
	b.put(eventlog.Envelope{ID: origin.CommandID(), Type: answer.Type(), Stream: "box/x", Origin: origin, Body: EncodeBody(answer)})
	b.wants("box/x", fmt.Sprintf("commandClaiming 1 asks %s, claimAnswered, commandClaiming 1 asks %s", first, second))
	b.drain()
	awaitFolded(t, b.service, b.log)
	b.stop()

	disk, ok := b.states.Disk.(*memDisk)
	if !ok {
		t.Fatal("another disk")
	}
	states := diskOpened(t, registry, 128, disk, 1)
	c, err := states.processors[0].hold("box/x", "")
	if err != nil {
		t.Fatal(err)
	}
	defer states.processors[0].letGo(c)
	s := c.stream
	if s == nil || s.deferred == nil || s.deferred.first.Asks != keyStream(second) || !slices.Equal(s.deferred.first.Taken, []string{keyStream(first)}) {
		t.Fatalf("%+v", s)
	}
}

// Values that were in the log before their claims are noticed, and no others.
func TestUnclaimedValues(t *testing.T) {
	before := boxDefinition()
	before.Claims = nil
	withBoxesOf(t, before)
	log := newFakeLog()
	old := &boxes{service: serve(t, log), log: log}
	old.set("1", "x", "a", "b")
	old.set("1", "y", "a")
	old.set("1", "z", "c")
	old.set("2", "z")
	old.end("z", "2")
	if err := old.states.CheckClaims(t.Context()); err != nil {
		t.Errorf("without claims: %v", err)
	}
	old.drain()
	old.stop()

	withBoxes(t)
	disk := newMemDisk()
	states := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
	states.KeepOn(disk, 10_000, nil)
	now := &boxes{service: serveWith(t, states, log), next: old.next}
	if err := now.states.CheckClaims(t.Context()); !errors.Is(err, ErrUnclaimed) || !strings.Contains(err.Error(), "2 streams") {
		t.Errorf("got %v", err)
	}
	now.drain()
	now.stop()
	opened := diskOpened(t, registry, 128, disk, 1)
	if n := opened.processors[0].tally.Unclaimed; n != 2 {
		t.Errorf("on disk: %d streams", n)
	}
	states = NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
	states.KeepOn(disk, 10_000, nil)
	again := &boxes{service: serveWith(t, states, log), log: log, next: now.next}
	again.set("3", "x")
	again.set("3", "y")
	again.end("y", "3")
	if err := again.states.CheckClaims(t.Context()); err != nil {
		t.Errorf("without the values: %v", err)
	}
}
