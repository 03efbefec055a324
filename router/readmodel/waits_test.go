package readmodel

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// onePartition is a store of a log with one partition, folded to offset 7.
type onePartition struct{ Store }

func (s onePartition) View(_ context.Context, _ *projection.Projection, fn func(View) error) error {
	return fn(onePartitionView{})
}

type onePartitionView struct{ View }

func (onePartitionView) Checkpoints(context.Context) ([]Checkpoint, error) {
	return []Checkpoint{{Partition: 0, Next: 7}}, nil
}

func (onePartitionView) Head(context.Context, string) (StreamHead, error) {
	return StreamHead{}, nil
}

func (onePartitionView) Heads(context.Context, []string) (map[string]StreamHead, error) {
	return nil, nil
}

// Partitions that don't exist are forgotten, whoever asked for them.
func TestWaitsForPartitionsThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(Waits).Of(onePartition{}, &projection.Projection{Name: "any"})
		for partition := range int32(10) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if m.Await(ctx, nil, 100+partition, 1) {
				t.Errorf("partition %d has come to 1", 100+partition)
			}
			if _, decided, _ := m.AwaitCommand(ctx, nil, &eventlog.SentCommand{Stream: "1", ID: "c", CommandPlace: eventlog.CommandPlace{
				Partition: 200 + partition, CommandPosition: eventlog.CommandPosition{TopicID: "t"},
			}}, 0); decided {
				t.Errorf("a command in partition %d was decided", 200+partition)
			}
			cancel()
		}
		time.Sleep(time.Second) // until no poller runs
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.partitions) != 1 {
			t.Errorf("%d partitions are remembered, and there is one", len(m.partitions))
		}
	})
}
