package decider

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// trimEvery is the time between two searches for old commands.
const trimEvery = 10 * time.Minute

// TrimCommands removes, every ten minutes until the context ends, decided
// commands older than keep from the partitions of this process. The state store
// says of each command whether the command is decided: the group's offsets are
// only a hint.
func (d *Dispatcher) TrimCommands(ctx context.Context, keep time.Duration) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		for partition, mailbox := range d.assignments() {
			topicID := mailbox.assigned.topicID
			trimmed, err := d.Kafka.TrimCommands(ctx, partition, time.Now().Add(-keep), func(envelope eventlog.Envelope) bool {
				return d.isDecided(envelope, topicID) || d.isDead(envelope, mailbox.assigned.assignment)
			})
			switch {
			case ctx.Err() != nil:
				return
			case err != nil:
				d.Log.Warn("can't trim old commands; trying again later", "partition", partition, "error", err)
			case trimmed > 0:
				d.Log.Info("trimmed old commands", "partition", partition, "commands", trimmed)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// isDead reports whether a command went to the dead letters in this assignment.
// Such a command has no outcome.
func (d *Dispatcher) isDead(envelope eventlog.Envelope, assignment *kafka.Assignment) bool {
	_, err := readCommand(d.States.registry, &envelope)
	return undecodable(err) && envelope.Offset < assignment.Done().Next()
}

// isDecided reports whether a command has an outcome. A command that repeats an
// id has the outcome of the first command with the id, and a reaction's command
// that the fence knows is decided.
func (d *Dispatcher) isDecided(envelope eventlog.Envelope, topicID string) bool {
	p := d.States.processors[envelope.Partition]
	c, err := p.hold(envelope.Stream, rememberedID(envelope.ID, envelope.Origin))
	if err != nil {
		p.broken(err)
		return false
	}
	defer p.letGo(c)
	return c.stream.knows(&envelope, eventlog.CommandPosition{TopicID: topicID, Offset: envelope.Offset})
}
