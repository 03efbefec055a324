package decider

import (
	"context"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// mailbox brings a claim's commands to the partition processor, on a goroutine
// of its own: a decision needs a deep stack. Watermill starts a goroutine for
// each message, and the stack of each would have to grow.
type mailbox struct {
	processor *processor
	claimed   *claimed
	came      chan arrival
	ended     chan struct{}
}

// arrival is a command that came, with the parameters of [processor.take].
type arrival struct {
	envelope eventlog.Envelope
	command  aggregate.AnyCommand
}

func newMailbox(p *processor, c *claimed) *mailbox {
	m := &mailbox{processor: p, claimed: c, came: make(chan arrival), ended: make(chan struct{})}
	go m.run()
	return m
}

// run ends with the claim. Commands that run doesn't take then are not marked.
func (m *mailbox) run() {
	defer close(m.ended)
	gone := m.claimed.claim.Context.Done()
	for {
		select {
		case a := <-m.came:
			m.processor.take(m.claimed, a.envelope, a.command)
		case <-gone:
			return
		}
	}
}

// put hands a command over, and waits while the processor is full.
func (m *mailbox) put(envelope eventlog.Envelope, command aggregate.AnyCommand) {
	select {
	case m.came <- arrival{envelope, command}:
	case <-m.ended:
	}
}

// close waits until the mailbox has ended, and then for the commands under way
// until the context ends. The result counts the commands that are left.
func (m *mailbox) close(ctx context.Context) (left int) {
	<-m.ended
	return m.processor.close(ctx, m.claimed)
}
