package kafka

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

func publicTopic(t *testing.T, k *Kafka, name string) (public *PublicTopics, topic string) {
	t.Helper()
	public, err := k.PublicTopics()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, public)
	topic = k.Topic(name)
	for range 2 {
		if err := public.Ensure(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	return public, topic
}

// A message has its stream as key, and is in the partition of the stream's records.
func TestPublicTopic(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	public, topic := publicTopic(t, k, "users")
	want := map[int32][]string{}
	for i := range 30 {
		stream := fmt.Sprint("user/", i%10)
		msg := message.NewMessage(fmt.Sprint("id-", i), []byte(fmt.Sprint("body ", i)))
		msg.Metadata[eventlog.HeaderSubject], msg.Metadata[eventlog.HeaderID] = stream, msg.UUID
		if err := public.Publish(topic, msg); err != nil {
			t.Fatal(err)
		}
		partition := eventlog.PartitionOf(stream, partitions)
		want[partition] = append([]string{fmt.Sprintf("%s %s body %d", stream, msg.UUID, i)}, want[partition]...)
	}
	for partition := range int32(partitions) {
		var got []string
		if err := public.Newest(t.Context(), topic, partition, func(raw eventlog.RawMessage) bool {
			if raw.Key != raw.Get(eventlog.HeaderSubject) {
				t.Errorf("the key of %s is %q", raw.Get(eventlog.HeaderSubject), raw.Key)
			}
			got = append(got, fmt.Sprintf("%s %s %s", raw.Key, raw.Get(eventlog.HeaderID), raw.Body))
			return false
		}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[partition], got); diff != "" {
			t.Errorf("partition %d, the newest first (-want +got):\n%s", partition, diff)
		}
		looks := 0
		if err := public.Newest(t.Context(), topic, partition, func(eventlog.RawMessage) bool {
			looks++
			return true
		}); err != nil || looks > 1 {
			t.Errorf("%d looks at what was found at the first: %v", looks, err)
		}
	}
	if err := public.Close(); err != nil {
		t.Fatal(err)
	}
	if err := public.Publish(topic, message.NewMessage("late", nil)); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A public topic with other settings is not complete, or not in order.
func TestPublicTopicIsRefused(t *testing.T) {
	t.Parallel()
	for says, test := range map[string]struct {
		partitions int32
		setting    string
		value      string
	}{
		"users: has 5 partitions, and kafka.partitions is 6":   {partitions - 1, "retention.ms", "-1"},
		"users: retention.ms is 1000, and must be -1":          {partitions, "retention.ms", "1000"},
		"users: cleanup.policy is compact, and must be delete": {partitions, "cleanup.policy", "compact"},
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			k := newKafka(t)
			config := maps.Clone(keepForever)
			config[test.setting] = test.value
			createTopic(t, k, "users", test.partitions, 1, config)
			refused(t, k.EnsurePublic(t.Context(), k.Topic("users")), says)
		})
	}
}
