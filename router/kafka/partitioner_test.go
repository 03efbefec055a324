package kafka

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
)

func TestPartitioner(t *testing.T) {
	p := newPartitioner(6)("events")
	if !p.RequiresConsistency() {
		t.Error("a stream must stay in its partition, also while that has no leader")
	}
	for key, want := range map[string]int32{
		"21":     0, // 1173551340 % 6
		"foobar": 0, // 1357151166 % 6
		"abc":    3, // 479470107 % 6
	} {
		got, err := p.Partition(&sarama.ProducerMessage{Key: sarama.StringEncoder(key)}, 6)
		if got != want || err != nil || eventlog.PartitionOf(key, 6) != want {
			t.Errorf("%s: got %d, %v, want %d", key, got, err, want)
		}
	}
	for name, refused := range map[string]struct {
		key        sarama.Encoder
		partitions int32
	}{
		"fewer partitions than configured": {sarama.StringEncoder("21"), 5},
		"more partitions than configured":  {sarama.StringEncoder("21"), 12},
		"no key":                           {nil, 6},
		"empty key":                        {sarama.StringEncoder(""), 6},
	} {
		if got, err := p.Partition(&sarama.ProducerMessage{Key: refused.key}, refused.partitions); !errors.Is(err, eventlog.ErrNotTaken) {
			t.Errorf("%s: sent to partition %d, %v; want an error that says that nothing is sent", name, got, err)
		}
	}
}

func TestStreamPartitioner(t *testing.T) {
	p := streamPartitioner{6}.ForTopic("events")
	for n, want := range map[int]int{5: -1, 6: 3, 7: -1, 12: -1} {
		s := new(sending)
		r := &kgo.Record{Topic: "events", Partition: 3, Context: s}
		if got := p.Partition(r, n); got != want || errors.Is(s.refused, eventlog.ErrNotTaken) != (want < 0) {
			t.Errorf("a topic of %d partitions: sent to partition %d, %v; want %d", n, got, s.refused, want)
		}
	}
}

// The watch of topic commands minds fewer and more partitions.
func TestCheckPartitions(t *testing.T) {
	k := &Kafka{Partitions: 6}
	for n, bad := range map[int]bool{5: true, 6: false, 7: true, 12: true} {
		err := k.checkPartitions(&sarama.TopicMetadata{Name: "commands", Partitions: make([]*sarama.PartitionMetadata, n)})
		if errors.Is(err, ErrTopic) != bad {
			t.Errorf("a topic of %d partitions: %v", n, err)
		}
	}
}
