package decider

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// trimEvery is how often old commands are looked for.
const trimEvery = 10 * time.Minute

// TrimCommands removes, now and then, the commands that are decided and older
// than keep, in the partitions that this process has, until the context ends.
// What is decided is asked of the ledger, command by command: the group's
// offsets are only a hint.
func (d *Dispatcher) TrimCommands(ctx context.Context, keep time.Duration) {
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		for partition, topicID := range d.claimed() {
			trimmed, err := d.Kafka.TrimCommands(ctx, partition, time.Now().Add(-keep), func(envelope eventlog.Envelope) bool {
				return d.isDecided(envelope, topicID)
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

// claimed are the partitions that this process has, with the id of the topic
// that they were claimed of.
func (d *Dispatcher) claimed() map[int32]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	partitions := map[int32]string{}
	for partition, mailbox := range d.mailboxes {
		partitions[partition] = mailbox.topicID
	}
	return partitions
}

// isDecided says whether a command has its outcome: its own, or that of the
// first with its id.
func (d *Dispatcher) isDecided(envelope eventlog.Envelope, topicID string) bool {
	pt := d.States.partitions[envelope.Partition]
	pt.mu.Lock()
	defer pt.mu.Unlock()
	return pt.streams[envelope.Stream].knows(envelope.ID, eventlog.CommandPosition{TopicID: topicID, Offset: envelope.Offset})
}
