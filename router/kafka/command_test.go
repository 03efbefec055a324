package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// goldenCommands has the commands of testdata.
var goldenCommands = []eventlog.Envelope{
	{
		ID: "c-1", Type: "createUser", Stream: "user/1", Time: time.Date(2026, 9, 21, 9, 11, 12, 345_000_000, time.UTC),
		Hash: "f65840f2c4e7eeea74fedf3acc619dd93f34bacfe30521858d998833bdea214e",
		Body: []byte(`{"id":1,"name":"Alice"}`),
	},
	{
		ID: "c-2", Type: "renameUser", Stream: "user/1", Time: time.Date(2026, 9, 21, 9, 11, 13, 0, time.UTC),
		Hash: "d1a197998c2ee46ff15ab0841e6e654d6f1161f3aef163e673b16035f2019cc7", ExpectedVersion: new(uint64(1)),
		Body: []byte(`{"id":1,"name":"Zoë"}`),
	},
}

func TestCommandOnTheWire(t *testing.T) {
	for file, want := range map[string]eventlog.Envelope{
		"createUser": goldenCommands[0], "renameUser": goldenCommands[1], "renameUserByReaction": goldenOfReaction(),
	} {
		t.Run(file, func(t *testing.T) {
			msg, err := CommandMarshaler{}.Marshal(&want)
			if diff := cmp.Diff(string(golden(t, file)), onTheWire(t, msg, err)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			if got := (CommandMarshaler{}).NameFromMessage(msg); got != (CommandMarshaler{}).Name(&want) {
				t.Errorf("the message's name is %q: the command processor would ignore the message", got)
			}
			from := kafkaMessage(golden(t, file))
			from.Offset = 7
			got, err := eventlog.DecodeEnvelope(rawFromKafka(from), partitions)
			if err != nil {
				t.Fatal(err)
			}
			var through eventlog.Envelope
			if err := (CommandMarshaler{partitions}).Unmarshal(received(t, from), &through); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, through); diff != "" {
				t.Errorf("(-straight +Watermill):\n%s", diff)
			}
			want.Partition, want.Offset = eventlog.PartitionOf("user/1", partitions), 7
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDecodeCommandRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*sarama.ConsumerMessage){
		"no key":                     func(m *sarama.ConsumerMessage) { m.Key = nil },
		"another key":                func(m *sarama.ConsumerMessage) { m.Key = []byte("2") },
		"another partition":          func(m *sarama.ConsumerMessage) { m.Partition++ },
		"no subject":                 func(m *sarama.ConsumerMessage) { set(m, "ce_subject") },
		"empty subject":              func(m *sarama.ConsumerMessage) { set(m, "ce_subject", "") },
		"no spec version":            func(m *sarama.ConsumerMessage) { set(m, "ce_specversion") },
		"another spec version":       func(m *sarama.ConsumerMessage) { set(m, "ce_specversion", "2.0") },
		"no type":                    func(m *sarama.ConsumerMessage) { set(m, "ce_type") },
		"no command id":              func(m *sarama.ConsumerMessage) { set(m, "ce_commandid") },
		"no hash":                    func(m *sarama.ConsumerMessage) { set(m, "ce_commandhash") },
		"no time":                    func(m *sarama.ConsumerMessage) { set(m, "ce_time") },
		"time of another zone":       func(m *sarama.ConsumerMessage) { set(m, "ce_time", "2026-09-21T11:11:13.000+02:00") },
		"time in seconds":            func(m *sarama.ConsumerMessage) { set(m, "ce_time", "2026-09-21T09:11:13Z") },
		"time with a comma":          func(m *sarama.ConsumerMessage) { set(m, "ce_time", "2026-09-21T09:11:13,000Z") },
		"time with a short hour":     func(m *sarama.ConsumerMessage) { set(m, "ce_time", "2026-09-21T9:11:13.000Z") },
		"time that never was":        func(m *sarama.ConsumerMessage) { set(m, "ce_time", "2026-02-30T09:11:13.000Z") },
		"empty expected version":     func(m *sarama.ConsumerMessage) { set(m, "ce_expectedversion", "") },
		"expected version with zero": func(m *sarama.ConsumerMessage) { set(m, "ce_expectedversion", "01") },
		"expected version with sign": func(m *sarama.ConsumerMessage) { set(m, "ce_expectedversion", "+1") },
		"expected version negative":  func(m *sarama.ConsumerMessage) { set(m, "ce_expectedversion", "-1") },
		"expected version of 2^63":   func(m *sarama.ConsumerMessage) { set(m, "ce_expectedversion", "9223372036854775808") },
		"header repeated":            func(m *sarama.ConsumerMessage) { set(m, "ce_commandid", "c-2", "c-2") },
		"header repeated, otherwise": func(m *sarama.ConsumerMessage) { set(m, "ce_type", "renameUser", "deleteUser") },
		"unknown header repeated":    func(m *sarama.ConsumerMessage) { set(m, "ce_new", "a", "b") },
		"header not in UTF-8":        func(m *sarama.ConsumerMessage) { set(m, "ce_commandid", "c\xff") },
		"no headers":                 func(m *sarama.ConsumerMessage) { m.Headers = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := kafkaMessage(golden(t, "renameUser"))
			spoil(m)
			if c, err := eventlog.DecodeEnvelope(rawFromKafka(m), partitions); err == nil {
				t.Errorf("read as %+v", c)
			}
			var c eventlog.Envelope
			if err := (CommandMarshaler{partitions}).Unmarshal(received(t, m), &c); !errors.Is(err, ErrUndecodable) {
				t.Errorf("through Watermill read as %+v, %v", c, err)
			}
		})
	}
}

// CloudEvents identifies a message by source and id. Two commands with the same
// command id are two messages; a command sent twice is one message.
func TestCommandEventID(t *testing.T) {
	id := func(change func(*eventlog.Envelope)) string {
		c := goldenCommands[0]
		change(&c)
		msg, err := CommandMarshaler{}.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		return msg.UUID
	}
	first := id(func(*eventlog.Envelope) {})
	if again := id(func(c *eventlog.Envelope) { c.Time = c.Time.Add(time.Second) }); again != first {
		t.Errorf("%s, sent again %s", first, again)
	}
	for name, change := range map[string]func(*eventlog.Envelope){
		"stream": func(c *eventlog.Envelope) { c.Stream = "2" },
		"id":     func(c *eventlog.Envelope) { c.ID = "c-2" },
		"hash":   func(c *eventlog.Envelope) { c.Hash = "0" },
	} {
		if id(change) == first {
			t.Errorf("the same for another %s", name)
		}
	}
}
