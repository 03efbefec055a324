package kafka

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"

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
