package gateway

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// places bounds something: each that is under way takes one.
type places chan struct{}

// take takes a place, if there is one.
func (p places) take() bool {
	select {
	case p <- struct{}{}:
		return true
	default:
		return false
	}
}

// await takes a place, and waits a while for one, but not longer than until
// the service stops.
func (p places) await(patience time.Duration, stopping <-chan struct{}) bool {
	if p.take() {
		return true
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p <- struct{}{}:
		return true
	case <-timer.C:
	case <-stopping:
	}
	return false
}

func (p places) give() { <-p }

// ticket is a command on its way through the gateway.
type ticket struct {
	gateway *Gateway
	ledger  *decider.Ledger // nil as long as Kafka has not been reached
	command *eventlog.Command
	places  []places // where it takes a place until it is decided

	watch   *decider.Watch // nil if nobody waits for the outcome
	wait    time.Duration
	until   time.Time             // when the wait ends: it begins when the command is sent
	outcome *decider.Outcome      // nil as long as it is undecided
	place   eventlog.CommandPlace // where Kafka holds it, once it was sent
}

// begin watches for the outcome from before the command is sent, so that none
// is missed.
func (g *Gateway) begin(c *eventlog.Command, wait time.Duration, in ...places) *ticket {
	t := &ticket{gateway: g, ledger: g.Ledger(), command: c, places: in}
	if wait > 0 && t.ledger != nil {
		t.wait, t.watch = wait, t.ledger.Watch(c.Stream, c.ID)
	}
	return t
}

func (t *ticket) close() {
	if t.watch != nil {
		t.watch.Close()
	}
}

// send puts the command on the bus, unless its outcome is known already, and
// counts it until it is decided: when too many are undecided, the handlers
// are behind, and taking more would only lengthen the queue.
func (t *ticket) send(ctx context.Context, take func(places) bool) error {
	defer func() { t.until = time.Now().Add(t.wait) }()
	c := t.command
	if t.watch != nil && len(t.watch.C) > 0 {
		return nil
	}
	if !t.takePlaces(take) {
		return overloaded(c)
	}
	if t.ledger == nil {
		defer t.givePlaces()
		return t.post(ctx, take)
	}
	expected := t.ledger.Expect(c.Stream, c.ID, t.givePlaces)
	err := t.post(ctx, take)
	if err != nil && expected.Close() {
		t.givePlaces()
	}
	return err
}

func (t *ticket) takePlaces(take func(places) bool) bool {
	for i, p := range t.places {
		if !take(p) {
			for _, taken := range t.places[:i] {
				taken.give()
			}
			return false
		}
	}
	return true
}

func (t *ticket) givePlaces() {
	for _, p := range t.places {
		p.give()
	}
}

// sent is how a send went.
type sent struct {
	place eventlog.CommandPlace
	err   error
}

// post gives up waiting for the bus after a while, or when its client leaves,
// which doesn't take the command back. A send that was given up keeps its
// place until it ends, so that the places do bound what a broker that hangs can
// pile up here.
func (t *ticket) post(ctx context.Context, take func(places) bool) error {
	g, c := t.gateway, t.command
	if !take(g.inFlight) {
		return overloaded(c)
	}
	var traced func(error)
	if g.Tracer != nil {
		traced = g.Tracer.Sending(ctx, c)
	}
	result := make(chan sent, 1)
	g.Send(c, func(place eventlog.CommandPlace, err error) {
		if err != nil { // here, for it may come long after the answer
			g.complaints.Warn(g.Log, "command not sent", "command", c.ID, "type", c.Type, "stream", c.Stream, eventlog.TraceAttr(c.Trace), "error", err)
		} else {
			g.Meter.Accepted(c.Type)
		}
		if traced != nil {
			traced(err)
		}
		g.inFlight.give() // before the answer: the client's next command may need the place
		result <- sent{place, err}
	})
	timeout := time.NewTimer(g.Timeout)
	defer timeout.Stop()
	select {
	case r := <-result:
		if r.err == nil {
			t.place = r.place
			return nil
		}
	case <-timeout.C:
	case <-ctx.Done():
	}
	return unknown(c)
}

// answer is what the client is told: the outcome, if it waits for it and it
// comes in time, or that Kafka holds the command. A problem is an error.
func (t *ticket) answer(ctx context.Context) (commandAnswer, error) {
	if t.watch != nil {
		t.await(ctx)
	}
	if t.outcome != nil {
		return answerOf(t.command, *t.outcome)
	}
	return commandAnswer{ID: t.command.ID, Type: t.command.Type, Status: statusAccepted, Position: t.position()}, nil
}

// position is the token to read the command's outcome after. A command that
// was there before makes no record of its own: if its outcome is known, the
// token says where that is.
func (t *ticket) position() string {
	c := t.command
	if t.ledger != nil {
		if o, ok := t.ledger.Outcome(c.Stream, c.ID); ok {
			return o.Position()
		}
	}
	if t.place.TopicID == "" {
		return "" // it was held already, and not sent again
	}
	return eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: c.Stream, ID: c.ID, CommandPlace: t.place})
}

func (t *ticket) await(ctx context.Context) {
	timer := time.NewTimer(time.Until(t.until))
	defer timer.Stop()
	for !t.decided() {
		select {
		case o := <-t.watch.C:
			t.tell(o)
		case <-timer.C:
			return
		case <-t.gateway.Stopping:
			return
		case <-ctx.Done():
			return
		}
	}
}

// decided takes in all outcomes that have come: one that is known is told even
// where the wait is over.
func (t *ticket) decided() bool {
	for t.outcome == nil && len(t.watch.C) > 0 {
		t.tell(<-t.watch.C)
	}
	return t.outcome != nil
}

func (t *ticket) tell(o decider.Outcome) {
	if o.Kind == decider.Queued && o.CommandHash == t.command.Hash {
		return // it waits behind a parked one: not decided
	}
	t.outcome = &o
}

func overloaded(c *eventlog.Command) *web.Problem {
	p := web.Unavailable("too many commands are under way; send this one again, with this id")
	p.Slug, p.Title, p.ID = "overloaded", "Overloaded", c.ID
	return p
}

func unknown(c *eventlog.Command) *web.Problem {
	p := web.Unavailable("it is not known whether the command was taken; it is safe to send it again with this id")
	p.ID = c.ID
	return p
}
