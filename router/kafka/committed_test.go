package kafka

import (
	"errors"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// commitAs commits an offset of topic events, as a consumer group that has read
// up to there.
func commitAs(t *testing.T, k *Kafka, group string, partition int32, next int64) {
	t.Helper()
	client, err := sarama.NewClient(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	closing(t, client)
	offsets, err := sarama.NewOffsetManagerFromClient(group, client)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, offsets)
	of, err := offsets.ManagePartition(k.Topic(eventlog.TopicEvents), partition)
	if errors.Is(err, sarama.ErrGroupIDNotFound) {
		t.Skip("the embedded broker takes offsets of members only; TestEventsLoseTheirEnd has members")
	}
	if err != nil {
		t.Fatal(err)
	}
	of.MarkOffset(next, "")
	of.AsyncClose()
	offsets.Commit()
	if err := offsets.Close(); err != nil {
		t.Fatal(err)
	}
}

// A group has read more of the log than there is.
func TestCheckLength(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	ensureTopics(t, k)
	r := newRecord("user/1", 1)
	appendAll(t, k, r)
	partition := eventlog.PartitionOf("user/1", partitions)
	groups := []string{k.Group("query-service", "users"), k.Group("query-service", "stats")}
	if err := k.CheckLength(t.Context(), groups); err != nil {
		t.Errorf("without groups: %v", err)
	}
	commitAs(t, k, groups[1], partition, 1)
	if err := k.CheckLength(t.Context(), groups); err != nil {
		t.Errorf("at the end: %v", err)
	}
	commitAs(t, k, groups[1], partition, 3)
	err := k.CheckLength(t.Context(), groups)
	if !errors.Is(err, ErrShorter) || !strings.Contains(err.Error(), "ends at offset 1, and group "+groups[1]+" has read up to offset 2") {
		t.Errorf("behind the end: %v", err)
	}
}

// Fillers take the offsets that they are asked to, and are known as fillers.
func TestFillCommands(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	ensureTopics(t, k)
	const n = 2*fillAtOnce + 5
	if err := k.FillCommands(t.Context(), 2, n); err != nil {
		t.Fatal(err)
	}
	commands, err := k.CommandReader()
	if err != nil {
		t.Fatal(err)
	}
	closing(t, commands)
	for partition := range int32(partitions) {
		want := int64(0)
		if partition == 2 {
			want = n
		}
		if _, end, err := commands.Range(t.Context(), partition); err != nil || end != want {
			t.Errorf("partition %d ends at %d, want %d: %v", partition, end, want, err)
		}
	}
	m, err := commands.fetch(2, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !isFiller(rawFromKafka(m)) {
		t.Errorf("%+v is no filler", m)
	}
	if m.Key = []byte("user/1"); isFiller(rawFromKafka(m)) {
		t.Error("a message with a key is a filler")
	}
}
