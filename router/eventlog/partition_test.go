package eventlog

import (
	"errors"
	"testing"
)

// The values are from the test of Apache Kafka, UtilsTest.testMurmur2.
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

// A record or a command in another partition than its stream's has no order in the
// stream.
func TestMessagesElsewhereAreMalformed(t *testing.T) {
	const partitions = 12
	r := sealed(Head{}, "userCreated", "{}")
	at := PartitionOf(r.Stream, partitions)
	for partition := range int32(partitions) {
		raw := RawMessage{Partition: partition, Key: r.Stream, Headers: r.Headers(), Body: r.Body}
		if got := DecodeRecord(raw, partitions).Malformed; errors.Is(got, ErrElsewhere) != (partition != at) || partition == at && got != nil {
			t.Errorf("a record of partition %d in partition %d: %v", at, partition, got)
		}
		if _, err := DecodeEnvelope(raw, partitions); errors.Is(err, ErrElsewhere) != (partition != at) {
			t.Errorf("a command of partition %d in partition %d: %v", at, partition, err)
		}
	}
}
