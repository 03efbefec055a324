package handlers

import (
	"context"
	"time"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
)

// places bounds something: each that is under way takes one.
type places chan struct{}

// whenFull says what becomes of a command that finds no place.
type whenFull bool

const (
	refuseWhenFull whenFull = false
	waitWhenFull   whenFull = true
)

// take takes a place, if there is one or it may wait for one.
func (p places) take(ctx context.Context, full whenFull) bool {
	select {
	case p <- struct{}{}:
		return true
	default:
	}
	if full == refuseWhenFull {
		return false
	}
	select {
	case p <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p places) give() { <-p }

// ticket is a command on its way through the gateway.
type ticket struct {
	gateway *Gateway
	ledger  *Ledger // nil as long as Kafka has not been reached
	command *messaging.Command
	watch   *Watch // nil if nobody waits for the outcome
	wait    time.Duration
}

// begin watches for the outcome from before the command is sent, so that none
// is missed.
func (g *Gateway) begin(c *messaging.Command, wait time.Duration) *ticket {
	t := &ticket{gateway: g, ledger: g.Ledger(), command: c, wait: wait}
	if wait > 0 && t.ledger != nil {
		t.watch = t.ledger.Watch(c.Stream, c.ID)
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
func (t *ticket) send(ctx context.Context, full whenFull) error {
	g, c := t.gateway, t.command
	if t.watch != nil && len(t.watch.C) > 0 {
		return nil
	}
	if !g.undecided.take(ctx, full) {
		return overloaded(c)
	}
	if t.ledger == nil {
		defer g.undecided.give()
		return g.send(ctx, c, full)
	}
	expected := t.ledger.Expect(c.Stream, c.ID, g.undecided.give)
	err := g.send(ctx, c, full)
	if err != nil && expected.Close() {
		g.undecided.give()
	}
	return err
}

// send gives up waiting for the bus after a while. A send that was given up
// keeps its place until it ends, so that the places do bound what a broker
// that hangs can pile up here.
func (g *Gateway) send(ctx context.Context, c *messaging.Command, full whenFull) error {
	if !g.inFlight.take(ctx, full) {
		return overloaded(c)
	}
	wait, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		// A client that leaves doesn't take its command back.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.Timeout)
		defer cancel()
		err := g.Send(ctx, c)
		if err != nil { // here, for it may come long after the answer
			g.Log.Warn("command not sent", "command", c.ID, "type", c.Type, "error", err)
		}
		g.inFlight.give() // before the answer: the client's next command may need the place
		sent <- err
	}()
	select {
	case err := <-sent:
		if err == nil {
			return nil
		}
	case <-wait.Done():
	}
	return unknown(c)
}

// answer is what the client is told: the outcome, if it waits for it and it
// comes in time, or that Kafka holds the command. A problem is an error.
func (t *ticket) answer(ctx context.Context) (commandAnswer, error) {
	accepted := commandAnswer{ID: t.command.ID, Type: t.command.Type, Status: statusAccepted}
	if t.watch == nil {
		return accepted, nil
	}
	timer := time.NewTimer(t.wait)
	defer timer.Stop()
	for {
		select {
		case o := <-t.watch.C:
			if o.Kind == Queued && o.CommandHash == t.command.Hash {
				continue // it waits behind a parked one: not decided
			}
			return answerOf(t.command, o)
		case <-timer.C:
			return accepted, nil
		case <-t.gateway.Stopping:
			return accepted, nil
		case <-ctx.Done():
			return accepted, nil
		}
	}
}

func overloaded(c *messaging.Command) *web.Problem {
	p := web.Unavailable("too many commands are under way; send this one again, with this id")
	p.Slug, p.Title, p.ID = "overloaded", "Overloaded", c.ID
	return p
}

func unknown(c *messaging.Command) *web.Problem {
	p := web.Unavailable("it is not known whether the command was taken; it is safe to send it again with this id")
	p.ID = c.ID
	return p
}
