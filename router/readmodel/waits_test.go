package readmodel

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// Partitions that don't exist are not remembered, whoever names them.
func TestWaitsForPartitionsThatAreNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(Waits).Of(&movingStore{at: map[int32]int64{0: 7}}, anyModel)
		for partition := range int32(10) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if m.Await(ctx, nil, 100+partition, 1) {
				t.Errorf("partition %d has come to 1", 100+partition)
			}
			if m.AwaitCommand(ctx, nil, &eventlog.SentCommand{Stream: "1", ID: "c", CommandPlace: eventlog.CommandPlace{
				Partition: 200 + partition, CommandPosition: eventlog.CommandPosition{TopicID: "t"},
			}}) {
				t.Errorf("a command in partition %d was decided", 200+partition)
			}
			cancel()
		}
		time.Sleep(time.Second) // until nobody polls any more
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.partitions) != 1 {
			t.Errorf("%d partitions are remembered, and there is one", len(m.partitions))
		}
	})
}
