package decider

import (
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// intake brings a desk its commands, on a goroutine of its own: deciding takes
// a deep stack, and Watermill has a new goroutine for each message, whose stack
// would have to grow each time.
type intake struct {
	*desk
	came  chan arrival
	ended chan struct{}
}

// arrival is a command that came, as [desk.take] has it.
type arrival struct {
	command eventlog.Command
	wish    aggregate.AnyCommand
}

func newIntake(d *desk) *intake {
	i := &intake{desk: d, came: make(chan arrival), ended: make(chan struct{})}
	go i.run()
	return i
}

// run ends with the claim. What it doesn't take then is not marked.
func (i *intake) run() {
	defer close(i.ended)
	gone := i.claim.Context.Done()
	for {
		select {
		case a := <-i.came:
			i.take(a.command, a.wish)
		case <-gone:
			return
		}
	}
}

// bring hands a command over, and waits while the desk is full.
func (i *intake) bring(c eventlog.Command, wish aggregate.AnyCommand) {
	select {
	case i.came <- arrival{c, wish}:
	case <-i.ended:
	}
}
