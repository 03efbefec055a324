package gateway

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/logging"
	"github.com/millrace/millrace/router/web"
)

// pendingRequest is a command on its way through the gateway.
type pendingRequest struct {
	gateway  *Gateway
	states   *decider.StateStore // nil before Kafka is reached
	envelope *eventlog.Envelope
	limits   []*limit // in each limit, the command has a place until the outcome

	watch   *decider.Watch // nil if the client doesn't wait for the outcome
	wait    time.Duration
	until   time.Time             // end of the wait, which begins with the send
	outcome *decider.Outcome      // nil until the outcome
	place   eventlog.CommandPlace // of the command in Kafka, after the send
}

// begin begins to watch for the outcome before the command is sent, so no
// outcome is missed.
func (g *Gateway) begin(c *eventlog.Envelope, wait time.Duration, in ...*limit) *pendingRequest {
	p := &pendingRequest{gateway: g, states: g.States(), envelope: c, limits: in}
	if wait > 0 && p.states != nil {
		p.wait, p.watch = wait, p.states.Watch(c.Stream, c.ID)
		if c.NotBefore.After(c.Time) {
			p.wait = 0 // the outcome is far; a known outcome comes all the same
		}
	}
	return p
}

func (p *pendingRequest) close() {
	if p.watch != nil {
		p.watch.Close()
	}
}

// send puts the command on the bus, unless the outcome is known already, and
// counts the command until the outcome. If too many commands have no outcome,
// the processors are behind, and more commands would only lengthen the queue.
func (p *pendingRequest) send(ctx context.Context, acquire func(*limit) bool) error {
	defer func() { p.until = time.Now().Add(p.wait) }()
	c := p.envelope
	if p.watch != nil && len(p.watch.C) > 0 {
		return nil
	}
	if !p.acquire(acquire) {
		return overloaded(c)
	}
	if p.states == nil {
		defer p.release()
		return p.post(ctx, acquire)
	}
	expected := p.states.Expect(c.Stream, c.ID, p.release)
	err := p.post(ctx, acquire)
	if err != nil && expected.Close() {
		p.release()
	}
	return err
}

func (p *pendingRequest) acquire(acquire func(*limit) bool) bool {
	for i, l := range p.limits {
		if !acquire(l) {
			for _, taken := range p.limits[:i] {
				taken.release()
			}
			return false
		}
	}
	return true
}

func (p *pendingRequest) release() {
	for _, l := range p.limits {
		l.release()
	}
}

// sent is the result of a send.
type sent struct {
	place eventlog.CommandPlace
	err   error
}

// post puts the command on the bus, and abandons the send after the timeout, or
// when the client leaves; the command may still reach Kafka. An abandoned send
// keeps its place until the send ends: so the places bound the sends that a
// hanging broker can pile up.
func (p *pendingRequest) post(ctx context.Context, acquire func(*limit) bool) error {
	g, c := p.gateway, p.envelope
	if !acquire(g.inFlight) {
		return overloaded(c)
	}
	var traced func(error)
	if g.Tracer != nil {
		traced = g.Tracer.Sending(ctx, c)
	}
	result := make(chan sent, 1)
	g.Send(c, func(place eventlog.CommandPlace, err error) {
		if err != nil { // here, because the error may come long after the answer
			g.logSampler.Warn(g.Log, "command not sent", "command", c.ID, "type", c.Type, "stream", c.Stream, logging.Trace(c.Trace), "error", err)
		} else {
			g.Meter.Accepted(c.Type)
		}
		if traced != nil {
			traced(err)
		}
		g.inFlight.release() // before the answer: the client's next command may need the place
		result <- sent{place, err}
	})
	timeout := time.NewTimer(g.Timeout)
	defer timeout.Stop()
	select {
	case r := <-result:
		if r.err == nil {
			p.place = r.place
			return nil
		}
		if errors.Is(r.err, eventlog.ErrNotTaken) {
			return notTaken(c)
		}
	case <-timeout.C:
	case <-ctx.Done():
	}
	return unknown(c)
}

// answer is the outcome, if the client waits and the outcome comes in time, or
// else the status accepted. A problem is the error.
func (p *pendingRequest) answer(ctx context.Context) (commandAnswer, error) {
	if p.watch != nil {
		p.await(ctx)
	}
	if p.outcome != nil {
		return answerOf(p.envelope, *p.outcome)
	}
	return commandAnswer{ID: p.envelope.ID, Type: p.envelope.Type, Status: statusAccepted, Position: p.position()}, nil
}

// position is the token for a read after the command. For a command that was
// there before, the token has the place of the known outcome: the new command
// makes no record.
func (p *pendingRequest) position() string {
	c := p.envelope
	if p.states != nil {
		if o, ok := p.states.Outcome(c.Stream, c.ID); ok {
			return o.Position()
		}
	}
	if p.place.TopicID == "" {
		return "" // the outcome was known, so nothing was sent
	}
	return eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: c.Stream, ID: c.ID, CommandPlace: p.place})
}

func (p *pendingRequest) await(ctx context.Context) {
	timer := time.NewTimer(time.Until(p.until))
	defer timer.Stop()
	for !p.decided() {
		select {
		case o := <-p.watch.C:
			p.tell(o)
		case <-timer.C:
			return
		case <-p.gateway.Stopping:
			return
		case <-ctx.Done():
			return
		}
	}
}

// decided takes all outcomes that have come: the client gets a known outcome
// even after the end of the wait.
func (p *pendingRequest) decided() bool {
	for p.outcome == nil && len(p.watch.C) > 0 {
		p.tell(<-p.watch.C)
	}
	return p.outcome != nil
}

func (p *pendingRequest) tell(o decider.Outcome) {
	if (o.Kind == decider.Queued || o.Kind == decider.Scheduled) && o.CommandHash == p.envelope.Hash {
		return // the command waits behind a parked command, or for its time, without a decision
	}
	p.outcome = &o
}

func overloaded(c *eventlog.Envelope) *web.Problem {
	p := web.Unavailable("too many commands are under way; send this one again, with this id")
	p.Slug, p.Title, p.ID = "overloaded", "Overloaded", c.ID
	return p
}

func notTaken(c *eventlog.Envelope) *web.Problem {
	p := web.Unavailable("the command was not taken; send it again")
	p.ID = c.ID
	return p
}

func unknown(c *eventlog.Envelope) *web.Problem {
	p := web.Unavailable("it is not known whether the command was taken; it is safe to send it again with this id")
	p.ID = c.ID
	return p
}
