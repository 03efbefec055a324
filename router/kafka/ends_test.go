package kafka

import (
	"context"
	"errors"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A new leader can't tell a partition's end at once. offsetOf asks again, more
// often than sarama, and returns no error.
func TestOffsetsBetweenLeaders(t *testing.T) {
	t.Parallel()
	for _, says := range []*kerr.Error{kerr.OffsetNotAvailable, kerr.LeaderNotAvailable, kerr.NotLeaderForPartition, kerr.FencedLeaderEpoch, kerr.UnknownLeaderEpoch} {
		t.Run(says.Message, func(t *testing.T) {
			t.Parallel()
			e := newEmbedded(t)
			ensureTopics(t, e.Kafka)
			stream := streamIn(1)
			appendAll(t, e.Kafka, newRecords(2)...)
			log, finder := newLogReader(t, e.Kafka), newFinder(t, e.Kafka)
			refuse := func(times int) *kfake.FaultHandle {
				return e.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: says, Count: times})
			}

			refused := refuse(5)
			if end, err := log.End(t.Context(), 1); end != 2 || err != nil {
				t.Errorf("the end is %d, %v", end, err)
			}
			if hits := refused.Hits(); hits != 5 {
				t.Errorf("%d requests were refused", hits)
			}
			refuse(5)
			if at, err := finder.LogEnd(t.Context(), stream); at[1] != 2 || err != nil {
				t.Errorf("the finder says %v, %v", at, err)
			}
			refuse(5)
			if found, err := finder.Undecided(t.Context(), stream, "c1"); found || err != nil {
				t.Errorf("the finder says %t, %v", found, err)
			}

			ctx, cancel := context.WithCancel(t.Context())
			refused = refuse(-1)
			go func() {
				_ = refused.Wait(t.Context(), 4)
				cancel()
			}()
			if _, err := log.End(ctx, 1); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			refused.Remove()
		})
	}
}

// offsetOf returns other errors at once.
func TestOffsetsRefused(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	log := newLogReader(t, e.Kafka)
	refused := e.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	if _, err := log.End(t.Context(), 1); !errors.Is(err, sarama.ErrTopicAuthorizationFailed) {
		t.Error(err)
	}
	if hits := refused.Hits(); hits != 2 {
		t.Errorf("%d requests", hits)
	}
}
