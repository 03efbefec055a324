package gateway

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// semaphore bounds something: each that is under way takes one.
type semaphore chan struct{}

// tryAcquire takes a place, if there is one.
func (s semaphore) tryAcquire() bool {
	select {
	case s <- struct{}{}:
		return true
	default:
		return false
	}
}

// acquire takes a place, and waits a while for one, but not longer than until
// the service stops.
func (s semaphore) acquire(patience time.Duration, stopping <-chan struct{}) bool {
	if s.tryAcquire() {
		return true
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s <- struct{}{}:
		return true
	case <-timer.C:
	case <-stopping:
	}
	return false
}

func (s semaphore) release() { <-s }

// pendingRequest is a command on its way through the gateway.
type pendingRequest struct {
	gateway    *Gateway
	states     *decider.StateStore // nil as long as Kafka has not been reached
	envelope   *eventlog.Envelope
	semaphores []semaphore // where it takes a place until it is decided

	watch   *decider.Watch // nil if nobody waits for the outcome
	wait    time.Duration
	until   time.Time             // when the wait ends: it begins when the command is sent
	outcome *decider.Outcome      // nil as long as it is undecided
	place   eventlog.CommandPlace // where Kafka holds it, once it was sent
}

// begin watches for the outcome from before the command is sent, so that none
// is missed.
func (g *Gateway) begin(c *eventlog.Envelope, wait time.Duration, in ...semaphore) *pendingRequest {
	p := &pendingRequest{gateway: g, states: g.States(), envelope: c, semaphores: in}
	if wait > 0 && p.states != nil {
		p.wait, p.watch = wait, p.states.Watch(c.Stream, c.ID)
	}
	return p
}

func (p *pendingRequest) close() {
	if p.watch != nil {
		p.watch.Close()
	}
}

// send puts the command on the bus, unless its outcome is known already, and
// counts it until it is decided: when too many are undecided, the handlers
// are behind, and taking more would only lengthen the queue.
func (p *pendingRequest) send(ctx context.Context, acquire func(semaphore) bool) error {
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

func (p *pendingRequest) acquire(acquire func(semaphore) bool) bool {
	for i, s := range p.semaphores {
		if !acquire(s) {
			for _, taken := range p.semaphores[:i] {
				taken.release()
			}
			return false
		}
	}
	return true
}

func (p *pendingRequest) release() {
	for _, s := range p.semaphores {
		s.release()
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
func (p *pendingRequest) post(ctx context.Context, acquire func(semaphore) bool) error {
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
		if err != nil { // here, for it may come long after the answer
			g.logSampler.Warn(g.Log, "command not sent", "command", c.ID, "type", c.Type, "stream", c.Stream, eventlog.TraceAttr(c.Trace), "error", err)
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
	case <-timeout.C:
	case <-ctx.Done():
	}
	return unknown(c)
}

// answer is what the client is told: the outcome, if it waits for it and it
// comes in time, or that Kafka holds the command. A problem is an error.
func (p *pendingRequest) answer(ctx context.Context) (commandAnswer, error) {
	if p.watch != nil {
		p.await(ctx)
	}
	if p.outcome != nil {
		return answerOf(p.envelope, *p.outcome)
	}
	return commandAnswer{ID: p.envelope.ID, Type: p.envelope.Type, Status: statusAccepted, Position: p.position()}, nil
}

// position is the token to read the command's outcome after. A command that
// was there before makes no record of its own: if its outcome is known, the
// token says where that is.
func (p *pendingRequest) position() string {
	c := p.envelope
	if p.states != nil {
		if o, ok := p.states.Outcome(c.Stream, c.ID); ok {
			return o.Position()
		}
	}
	if p.place.TopicID == "" {
		return "" // it was held already, and not sent again
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

// decided takes in all outcomes that have come: one that is known is told even
// where the wait is over.
func (p *pendingRequest) decided() bool {
	for p.outcome == nil && len(p.watch.C) > 0 {
		p.tell(<-p.watch.C)
	}
	return p.outcome != nil
}

func (p *pendingRequest) tell(o decider.Outcome) {
	if o.Kind == decider.Queued && o.CommandHash == p.envelope.Hash {
		return // it waits behind a parked one: not decided
	}
	p.outcome = &o
}

func overloaded(c *eventlog.Envelope) *web.Problem {
	p := web.Unavailable("too many commands are under way; send this one again, with this id")
	p.Slug, p.Title, p.ID = "overloaded", "Overloaded", c.ID
	return p
}

func unknown(c *eventlog.Envelope) *web.Problem {
	p := web.Unavailable("it is not known whether the command was taken; it is safe to send it again with this id")
	p.ID = c.ID
	return p
}
