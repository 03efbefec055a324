package kafka

import (
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// TrimCommands deletes the oldest commands, up to the first that is new or
// undecided.
func TestTrimCommands(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-2 * time.Hour).Truncate(time.Millisecond) // Kafka refuses timestamps from the future
	old, young := now.Add(-time.Hour), now.Add(time.Hour)
	const (
		decided = iota
		undecided
		undecodable
	)
	type command struct {
		kind int
		at   time.Time
	}
	tests := map[string]struct {
		commands []command
		trimmed  int64
	}{
		"none":               {nil, 0},
		"all":                {[]command{{decided, old}, {decided, old}, {decided, old}}, 3},
		"up to undecided":    {[]command{{decided, old}, {decided, old}, {undecided, old}, {decided, old}}, 2},
		"first is undecided": {[]command{{undecided, old}, {decided, old}}, 0},
		"up to young":        {[]command{{decided, old}, {decided, young}, {decided, old}}, 1},
		"at the time":        {[]command{{decided, old}, {decided, now}}, 1},
		"first is young":     {[]command{{decided, young}, {decided, old}}, 0},
		"undecodable between": {
			[]command{{decided, old}, {undecodable, old}, {decided, old}, {undecided, old}}, 3,
		},
		"undecodable before undecided": {[]command{{decided, old}, {undecodable, old}, {undecided, old}}, 1},
		"undecodable at the end":       {[]command{{decided, old}, {undecodable, old}}, 1},
		"undecodable only":             {[]command{{undecodable, old}}, 0},
		"undecodable and young":        {[]command{{decided, old}, {undecodable, young}, {decided, old}}, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newLog(t)
			stream := streamIn(1)
			var messages []*sarama.ProducerMessage
			for i, c := range test.commands {
				out := &sarama.ProducerMessage{Topic: k.Topic(eventlog.TopicCommands), Value: sarama.StringEncoder("?")}
				if c.kind != undecodable {
					envelope := newCommand(stream, fmt.Sprint(i, c.kind == decided))
					msg := newMessage(envelope.Headers(), envelope.Body)
					var err error
					if out, err = asMessage(out.Topic, msg); err != nil {
						t.Fatal(err)
					}
				}
				out.Partition, out.Timestamp = 1, c.at
				messages = append(messages, out)
			}
			produce(t, k, messages...)
			asked := int64(-1)
			isDecided := func(c eventlog.Envelope) bool {
				if c.Offset <= asked || c.Partition != 1 || c.Stream != stream {
					t.Errorf("asked for %d/%d after %d", c.Partition, c.Offset, asked)
				}
				asked = c.Offset
				return c.ID == fmt.Sprint(c.Offset, true)
			}
			for range 2 { // the second call deletes nothing
				asked = -1
				n, err := k.TrimCommands(t.Context(), 1, now, isDecided)
				if err != nil || n != test.trimmed {
					t.Errorf("trimmed %d commands (%v), want %d", n, err, test.trimmed)
				}
				var left, want []int64
				for _, m := range kafkaMessages(t, k, eventlog.TopicCommands, 1) {
					left = append(left, m.Offset)
				}
				trimmed := int64(len(test.commands) - len(left))
				for offset := trimmed; offset < int64(len(test.commands)); offset++ {
					want = append(want, offset)
				}
				if diff := cmp.Diff(want, left); diff != "" {
					t.Errorf("left (-want +got):\n%s", diff)
				}
				if trimmed < test.trimmed {
					t.Errorf("%d commands are gone, want %d", trimmed, test.trimmed)
				}
				test.trimmed = 0
			}
		})
	}
}
