package messaging

import (
	"testing"

	"github.com/IBM/sarama"
)

// The values are those of Apache Kafka's own test, UtilsTest.testMurmur2.
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("%s: got %d, want %d", key, got, want)
		}
	}
}

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
		if got != want || err != nil || PartitionOf(key, 6) != want {
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
		if got, err := p.Partition(&sarama.ProducerMessage{Key: refused.key}, refused.partitions); err == nil {
			t.Errorf("%s: sent to partition %d", name, got)
		}
	}
}
