package main

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
)

// Nothing comes to the lost partition of topic commands, while other partitions and
// topics go on. Once the partition has a leader again, all comes.
func TestLostPartition(t *testing.T) {
	t.Parallel()
	broker, link := relayed(t)
	k := (&cluster{nodes: []node{{0, broker.Addr()}}}).kafka()
	if _, err := k.EnsureTopics(t.Context()); err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(link.addresses()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MetadataMinAge(10*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }), kgo.ProducerLinger(0),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	send := func(topic string, partition int32, sent func(error)) {
		client.Produce(t.Context(), &kgo.Record{Topic: topic, Partition: partition, Value: []byte("v")}, func(_ *kgo.Record, err error) { sent(err) })
	}
	await := func(topic string, partition int32) {
		t.Helper()
		result := make(chan error, 1)
		send(topic, partition, func(err error) { result <- err })
		if err := <-result; err != nil {
			t.Errorf("partition %d of topic %s: %v", partition, topic, err)
		}
	}
	await(eventlog.TopicCommands, 1)
	link.lose(1)
	late := make(chan error, 1)
	send(eventlog.TopicCommands, 1, func(err error) { late <- err })
	for range 10 { // beside the lost partition, most likely in its requests too
		await(eventlog.TopicCommands, 0)
		await(eventlog.TopicEvents, 1)
	}
	select {
	case err := <-late:
		t.Fatal("a message to the lost partition has ended:", err)
	default:
	}
	link.mend(t.Context())
	if err := <-late; err != nil {
		t.Error(err)
	}
	await(eventlog.TopicCommands, 1)
}
