package decider

import (
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// mailbox brings a desk its commands, on a goroutine of its own: deciding takes
// a deep stack, and Watermill has a new goroutine for each message, whose stack
// would have to grow each time.
type mailbox struct {
	*processor
	came  chan arrival
	ended chan struct{}
}

// arrival is a command that came, as [processor.take] has it.
type arrival struct {
	envelope eventlog.Envelope
	command  aggregate.AnyCommand
}

func newMailbox(p *processor) *mailbox {
	m := &mailbox{processor: p, came: make(chan arrival), ended: make(chan struct{})}
	go m.run()
	return m
}

// run ends with the claim. What it doesn't take then is not marked.
func (m *mailbox) run() {
	defer close(m.ended)
	gone := m.claim.Context.Done()
	for {
		select {
		case a := <-m.came:
			m.take(a.envelope, a.command)
		case <-gone:
			return
		}
	}
}

// put hands a command over, and waits while the desk is full.
func (m *mailbox) put(envelope eventlog.Envelope, command aggregate.AnyCommand) {
	select {
	case m.came <- arrival{envelope, command}:
	case <-m.ended:
	}
}
