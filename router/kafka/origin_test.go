package kafka

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// goldenOrigin is the origin in testdata.
func goldenOrigin() *eventlog.Origin {
	return &eventlog.Origin{
		Reaction: "greeter", Cause: eventlog.Cause{TopicID: "pX2Hn6X9yTkOYw1mVbZ0aL", Partition: 3, Offset: 1207, N: 1},
		Subject: "order/a-7", Depth: 2, Open: []string{`order/"Zoë"`, "order/<b>"},
	}
}

// goldenOfReaction is a reaction's command that waits, in testdata.
func goldenOfReaction() eventlog.Envelope {
	origin := goldenOrigin()
	return eventlog.Envelope{
		ID: origin.CommandID(), Type: "renameUser", Stream: "user/1", Time: time.Date(2026, 9, 21, 9, 11, 23, 0, time.UTC),
		Hash:      "d1a197998c2ee46ff15ab0841e6e654d6f1161f3aef163e673b16035f2019cc7",
		NotBefore: time.Date(2026, 9, 22, 0, 0, 0, 0, time.UTC), Origin: origin,
		Body: []byte(`{"id":1,"name":"Ann"}`),
	}
}

// The record of a reaction's command has the origin, and claims are on records,
// all inside the digest. Another program computed the digests.
func TestOriginAndClaimsOnTheWire(t *testing.T) {
	const before = "64094215063e514e0fe5fd24f3e30bc332e7d6dc9e9a3fd982a4f1f50eee7797" // userDeleted
	prev, err := eventlog.ParseDigest(before)
	if err != nil {
		t.Fatal(err)
	}
	c := goldenOfReaction()
	r := eventlog.Record{
		Type: "userRenamed", Stream: c.Stream, Time: c.Time, Seq: 12, Prev: prev, Version: 6,
		CommandID: c.ID, CommandHash: c.Hash, CommandPosition: eventlog.CommandPosition{TopicID: commandsTopicID, Offset: 52},
		Origin: c.Origin, Body: c.Body,
	}
	got := sameOnTheWire(t, "userRenamedByReaction", r, "3490358f5c803d929c785a70225e6c590e7484b87a4961ac59a6c3a39cc38d3b")
	sameOnTheWire(t, "commandRefusedWithClaims", eventlog.Record{
		Type: "commandRefused", Stream: c.Stream, Time: c.Time.Add(time.Second), Seq: 13, Prev: got.Digest, Version: 6,
		CommandID: "c-13", CommandHash: c.Hash, CommandPosition: eventlog.CommandPosition{TopicID: commandsTopicID, Offset: 53},
		Asks: []string{"unique/email/0b1c"}, Releases: []string{"unique/email/a1", "unique/number/b2"},
		Body: []byte(`{"commandType":"renameUser","problem":"user-not-found","detail":"no such user"}`),
	}, "07bc6e9b869be1baf535b3c9165b2efafeebd8f0d12869852808c330f23a0608")
}

// A message with a part of an origin, or with another form of an origin, is
// neither a client's nor a reaction's.
func TestOriginInAnotherForm(t *testing.T) {
	for name, spoil := range map[string]func(*sarama.ConsumerMessage){
		"no reaction":             func(m *sarama.ConsumerMessage) { set(m, "ce_reaction") },
		"empty reaction":          func(m *sarama.ConsumerMessage) { set(m, "ce_reaction", "") },
		"no cause":                func(m *sarama.ConsumerMessage) { set(m, "ce_cause") },
		"cause of three":          func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "topic/3/1207") },
		"cause of five":           func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "topic/3/1207/1/1") },
		"cause of no topic":       func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "/3/1207/1") },
		"cause with a zero":       func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "topic/3/01207/1") },
		"cause in no partition":   func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "topic/-1/1207/1") },
		"cause in partition 2^31": func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "topic/2147483648/1207/1") },
		"cause of command 0":      func(m *sarama.ConsumerMessage) { set(m, "ce_cause", "topic/3/1207/0") },
		"no subject of the cause": func(m *sarama.ConsumerMessage) { set(m, "ce_causesubject") },
		"no depth":                func(m *sarama.ConsumerMessage) { set(m, "ce_depth") },
		"depth 0":                 func(m *sarama.ConsumerMessage) { set(m, "ce_depth", "0") },
		"depth 65":                func(m *sarama.ConsumerMessage) { set(m, "ce_depth", "65") },
		"depth 2^62":              func(m *sarama.ConsumerMessage) { set(m, "ce_depth", fmt.Sprint(1<<62)) },
		"open: no list":           func(m *sarama.ConsumerMessage) { set(m, "ce_open", "order/b") },
		"open: an empty list":     func(m *sarama.ConsumerMessage) { set(m, "ce_open", "[]") },
		"open: null":              func(m *sarama.ConsumerMessage) { set(m, "ce_open", "null") },
		"open: with space":        func(m *sarama.ConsumerMessage) { set(m, "ce_open", `["a", "b"]`) },
		"open: escaped":           func(m *sarama.ConsumerMessage) { set(m, "ce_open", `["\u0061"]`) },
		"open: not sorted":        func(m *sarama.ConsumerMessage) { set(m, "ce_open", `["b","a"]`) },
		"open: twice":             func(m *sarama.ConsumerMessage) { set(m, "ce_open", `["a","a"]`) },
		"open: 65":                func(m *sarama.ConsumerMessage) { set(m, "ce_open", many(65, "a")) },
		"open: more than 16 KiB":  func(m *sarama.ConsumerMessage) { set(m, "ce_open", many(64, strings.Repeat("a", 300))) },
		"two reactions":           func(m *sarama.ConsumerMessage) { set(m, "ce_reaction", "greeter", "greeter") },
	} {
		t.Run(name, func(t *testing.T) {
			command := kafkaMessage(golden(t, "renameUserByReaction"))
			spoil(command)
			var c eventlog.Envelope
			if err := (CommandMarshaler{partitions}).Unmarshal(received(t, command), &c); !errors.Is(err, ErrUndecodable) {
				t.Errorf("the command is read as %+v, %v", c, err)
			}
			record := kafkaMessage(golden(t, "userRenamedByReaction"))
			spoil(record)
			r := eventlog.DecodeRecord(rawFromKafka(record), partitions)
			if r.Malformed == nil && r.Unreadable == nil {
				t.Errorf("the record is read as %+v", r)
			}
		})
	}
	for name, form := range map[string]string{"in another zone": "2026-09-22T02:00:00.000+02:00", "without milliseconds": "2026-09-22T00:00:00Z", "empty": ""} {
		m := kafkaMessage(golden(t, "renameUserByReaction"))
		set(m, "ce_notbefore", form)
		if c, err := eventlog.DecodeEnvelope(rawFromKafka(m), partitions); err == nil {
			t.Errorf("ce_notbefore %s: read as %+v", name, c)
		}
	}
}

// 64 open streams with names of 200 bytes fit.
func TestManyOpenStreams(t *testing.T) {
	m := kafkaMessage(golden(t, "renameUserByReaction"))
	set(m, "ce_open", many(64, strings.Repeat("a", 200)))
	if c, err := eventlog.DecodeEnvelope(rawFromKafka(m), partitions); err != nil || len(c.Origin.Open) != 64 {
		t.Errorf("read as %+v, %v", c.Origin, err)
	}
}

// many is a list of n sorted texts.
func many(n int, prefix string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf("%q", prefix+fmt.Sprintf("%03d", i))
	}
	return "[" + strings.Join(texts, ",") + "]"
}
