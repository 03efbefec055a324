package kafka

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

const commandsTopicID = "q2Hn6X9yTkOYw1mVbZ0aLg"

// goldenRecords has the records of testdata: one stream, one record of each type.
// Only the files have ids and digests.
var goldenRecords = []struct {
	recordType  string
	millisecond int // since 09:11:12
	commandHash string
	version     uint64
	body        string
	digest      string
}{
	{
		"userCreated", 345, "f65840f2c4e7eeea74fedf3acc619dd93f34bacfe30521858d998833bdea214e", 1, `{"id":1,"name":"Alice"}`,
		"b459a06a2c0dcc10c82a14378e4ea5974b214ebf7f822a9c1de59646c7e80b51",
	},
	{
		"userRenamed", 1000, "d1a197998c2ee46ff15ab0841e6e654d6f1161f3aef163e673b16035f2019cc7", 2, `{"id":1,"name":"Zoë"}`,
		"dc0f97227d7f8401051350ab8b3050db068b18d37d5ccf8e0df22c5a98ef41b1",
	},
	{
		"commandUnchanged", 2000, "d924b9af4d5634f65affd49c989a5534c6cdd33b75e97e3940696b096e6ed49d", 2, `{"commandType":"renameUser"}`,
		"b70058dc7904f24e855dc5d95ee5a5365830aadcc2263fcbf741beb8364f0b2e",
	},
	{
		"commandRefused", 3000, "b9abcb1524c33a3a9656052f31869012ac4275517e63bb13040465fca21ae504", 2, `{"commandType":"createUser","problem":"user-exists","detail":"the user exists already"}`,
		"adf774617b39be45b85b778231c92dcabc857dd0a813ae1a117bfd8dd65e4974",
	},
	{
		"userDeactivated", 4000, "38aa0b09a3d14d8af987c45bb9c97177827c787e8974718cf371f87953dd69f6", 3, `{"id":1}`,
		"612f64983304a86ea0b28c5729d6096eb241854eee711b436113d49cf334e346",
	},
	{
		"userReactivated", 5000, "d8ea0533b86f4e48be58bda604ec9c49f2ace29870a2cc8d8435936180d42215", 4, `{"id":1}`,
		"352a85652d5b7e598b1f47e59d9da64c8ab723d6868f4d6bf73b7fa9c082dcf4",
	},
	{
		"commandParked", 6000, "aa02c2e604efd64842b64ad5fd0c98c9ad07066b566a02016180ef1b6147b42c", 4, `{"commandType":"renameUser","payload":{"id":1,"name":"Ann"},"reason":"the decision panicked"}`,
		"92ec6620a4e53e30bd86da2dd39dbb5eaf5a1c75f2a6e76a4d55736cd6edf2f1",
	},
	{
		"commandQueued", 7000, "38aa0b09a3d14d8af987c45bb9c97177827c787e8974718cf371f87953dd69f6", 4, `{"commandType":"deactivateUser","payload":{"id":1},"reason":"an earlier command is parked"}`,
		"05755d4d7f543122371af948d2518f1fd49df5f8f8b4880d2d83803f6fa2c8b2",
	},
	{
		"parkedRequeued", 8000, "62707593c1b3fad5372e0fd48678ef8212ab3d5e23505c6f2b66e41d62affb48", 4, `{"commandId":"c-7"}`,
		"985f8cfe51ede0a27479aff40d66172aafb40147419a9af1928b6da0dc57e9f5",
	},
	{
		"parkedDropped", 9000, "a51751aaa3ea65110e00937c6a18fc318edf1c0ed4749481438d0338de618dfa", 4, `{"commandId":"c-7"}`,
		"e57a7affe6cd7e284a44e982ce67e5c5d99e65794b4b6102bd6c742d74423a48",
	},
	{
		"userDeleted", 10000, "f99d098bba8b9de2979482fe8436c5e8bd3a88ff3e88252973aa9421e3109261", 5, `{"id":1}`,
		"64094215063e514e0fe5fd24f3e30bc332e7d6dc9e9a3fd982a4f1f50eee7797",
	},
}

func TestRecordOnTheWire(t *testing.T) {
	var head eventlog.Head
	for i, entry := range goldenRecords {
		t.Run(entry.recordType, func(t *testing.T) {
			want := eventlog.Record{
				Type: entry.recordType, Stream: "user/1",
				Time: time.Date(2026, 9, 21, 9, 11, 12, 0, time.UTC).Add(time.Duration(entry.millisecond) * time.Millisecond),
				Seq:  head.Seq + 1, Prev: head.Digest, Version: entry.version,
				CommandID: fmt.Sprintf("c-%d", i+1), CommandHash: entry.commandHash,
				CommandPosition: eventlog.CommandPosition{TopicID: commandsTopicID, Offset: int64(41 + i)},
				Body:            []byte(entry.body),
			}
			got := sameOnTheWire(t, entry.recordType, want, entry.digest)
			next, ok := head.Accept(&got)
			if !ok {
				t.Fatalf("not accepted after %+v", head)
			}
			head = next
		})
	}
}

// sameOnTheWire seals a record, compares the record with a golden file in both
// directions, and returns the record as read.
func sameOnTheWire(t *testing.T, file string, want eventlog.Record, digest string) eventlog.Record {
	t.Helper()
	want.Seal()
	if got := want.Digest.String(); got != digest {
		t.Errorf("digest %s, want %s", got, digest)
	}
	msg, err := RecordMarshaler{}.Marshal(&want)
	if diff := cmp.Diff(string(golden(t, file)), onTheWire(t, msg, err)); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
	from := kafkaMessage(golden(t, file))
	from.Offset = 1000 + int64(want.Seq)
	got := eventlog.DecodeRecord(rawFromKafka(from), partitions)
	var through eventlog.Record
	if err := (RecordMarshaler{partitions}).Unmarshal(received(t, from), &through); err != nil {
		t.Fatal(err)
	}
	if got.Unreadable != nil {
		t.Fatal(got.Unreadable)
	}
	if diff := cmp.Diff(got, through); diff != "" {
		t.Errorf("(-straight +Watermill):\n%s", diff)
	}
	want.Partition, want.Offset = eventlog.PartitionOf(want.Stream, partitions), from.Offset
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("read (-want +got):\n%s", diff)
	}
	return got
}

func TestDecodeRecordMalformed(t *testing.T) {
	for name, spoil := range map[string]func(*sarama.ConsumerMessage){
		"no key":                       func(m *sarama.ConsumerMessage) { m.Key = nil },
		"another key":                  func(m *sarama.ConsumerMessage) { m.Key = []byte("2") },
		"another partition":            func(m *sarama.ConsumerMessage) { m.Partition = (m.Partition + 1) % partitions },
		"no subject":                   func(m *sarama.ConsumerMessage) { set(m, "ce_subject") },
		"no type":                      func(m *sarama.ConsumerMessage) { set(m, "ce_type") },
		"no seq":                       func(m *sarama.ConsumerMessage) { set(m, "ce_seq") },
		"seq with a zero":              func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "02") },
		"seq with a sign":              func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "+2") },
		"seq with white space":         func(m *sarama.ConsumerMessage) { set(m, "ce_seq", " 2") },
		"seq with a fraction":          func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "2.0") },
		"seq in hexadecimal":           func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "0x2") },
		"seq in other digits":          func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "٢") },
		"seq of 2^63":                  func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "9223372036854775808") },
		"no version":                   func(m *sarama.ConsumerMessage) { set(m, "ce_version") },
		"negative version":             func(m *sarama.ConsumerMessage) { set(m, "ce_version", "-0") },
		"no prev":                      func(m *sarama.ConsumerMessage) { set(m, "ce_prev") },
		"short prev":                   func(m *sarama.ConsumerMessage) { set(m, "ce_prev", "00") },
		"prev in upper case":           func(m *sarama.ConsumerMessage) { upper(m, "ce_prev") },
		"header repeated":              func(m *sarama.ConsumerMessage) { set(m, "ce_seq", "2", "2") },
		"unknown header repeated":      func(m *sarama.ConsumerMessage) { set(m, "ce_new", "a", "b") },
		"header not in UTF-8":          func(m *sarama.ConsumerMessage) { set(m, "ce_source", "\xff") },
		"name of a header not in UTF8": func(m *sarama.ConsumerMessage) { set(m, "ce_\xff", "") },
		"no headers":                   func(m *sarama.ConsumerMessage) { m.Headers = nil },
	} {
		t.Run(name, func(t *testing.T) {
			m := kafkaMessage(golden(t, "userRenamed"))
			spoil(m)
			if r := eventlog.DecodeRecord(rawFromKafka(m), partitions); r.Malformed == nil {
				t.Errorf("read as %+v", r)
			}
		})
	}
}

// A record with all headers for the gate keeps its sequence number, although this
// binary can't read the other headers.
func TestDecodeRecordUnreadable(t *testing.T) {
	for name, spoil := range map[string]func(*sarama.ConsumerMessage){
		"no id":                        func(m *sarama.ConsumerMessage) { set(m, "ce_id") },
		"no spec version":              func(m *sarama.ConsumerMessage) { set(m, "ce_specversion") },
		"another spec version":         func(m *sarama.ConsumerMessage) { set(m, "ce_specversion", "2.0") },
		"no time":                      func(m *sarama.ConsumerMessage) { set(m, "ce_time") },
		"time with a comma":            func(m *sarama.ConsumerMessage) { set(m, "ce_time", "2026-09-21T09:11:13,000Z") },
		"no command id":                func(m *sarama.ConsumerMessage) { set(m, "ce_commandid") },
		"no command position":          func(m *sarama.ConsumerMessage) { set(m, "ce_commandposition") },
		"command position of no topic": func(m *sarama.ConsumerMessage) { set(m, "ce_commandposition", "/42") },
		"command position of no offset": func(m *sarama.ConsumerMessage) {
			set(m, "ce_commandposition", commandsTopicID)
		},
		"command position with a zero": func(m *sarama.ConsumerMessage) { set(m, "ce_commandposition", commandsTopicID+"/042") },
		"negative command position":    func(m *sarama.ConsumerMessage) { set(m, "ce_commandposition", commandsTopicID+"/-1") },
		"command position of three":    func(m *sarama.ConsumerMessage) { set(m, "ce_commandposition", commandsTopicID+"/42/1") },
		"no list of claims":            func(m *sarama.ConsumerMessage) { set(m, "ce_asks", "unique/email/a1") },
		"no list to give back":         func(m *sarama.ConsumerMessage) { set(m, "ce_releases", "[]") },
	} {
		t.Run(name, func(t *testing.T) {
			m := kafkaMessage(golden(t, "userRenamed"))
			spoil(m)
			r := eventlog.DecodeRecord(rawFromKafka(m), partitions)
			if r.Malformed != nil || r.Unreadable == nil {
				t.Errorf("malformed %v, unreadable %v", r.Malformed, r.Unreadable)
			}
			head := eventlog.Head{Seq: r.Seq - 1, Version: r.Version - 1, Digest: r.Prev}
			if _, ok := head.Accept(&r); !ok {
				t.Error("the gate ignores the record")
			}
		})
	}
}

// Unknown ce_ headers of a newer version are allowed, and inside the digest.
func TestDecodeRecordOfANewerBinary(t *testing.T) {
	before := eventlog.DecodeRecord(rawFromKafka(kafkaMessage(golden(t, "userRenamed"))), partitions)
	m := kafkaMessage(golden(t, "userRenamed"))
	set(m, "ce_new", "a")
	after := eventlog.DecodeRecord(rawFromKafka(m), partitions)
	if after.Malformed != nil || after.Unreadable != nil {
		t.Errorf("malformed %v, unreadable %v", after.Malformed, after.Unreadable)
	}
	if before.Digest == after.Digest {
		t.Error("the digest is the same")
	}
}

func TestParseCommandPosition(t *testing.T) {
	for text, want := range map[string]eventlog.CommandPosition{
		"a/0":                   {TopicID: "a", Offset: 0},
		"a/9223372036854775807": {TopicID: "a", Offset: 1<<63 - 1},
	} {
		if got, err := eventlog.ParseCommandPosition(text); got != want || err != nil || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
}

func upper(m *sarama.ConsumerMessage, key string) {
	for _, h := range m.Headers {
		if string(h.Key) == key {
			h.Value = bytes.ToUpper(h.Value)
		}
	}
}

// No message of topic events stops a fold by a panic. A record that is not
// malformed is in the partition of its stream.
func FuzzDecodeRecord(f *testing.F) {
	for _, entry := range goldenRecords {
		f.Add(golden(f, entry.recordType), int32(0))
	}
	f.Add(golden(f, "userRenamedByReaction"), int32(0))
	f.Add(golden(f, "commandRefusedWithClaims"), int32(0))
	f.Add([]byte("key: \nce_seq: 1\nce_seq: 2\n\n"), int32(-1))
	f.Add([]byte("key: 1\nce_subject: 1\nce_type: a\nce_seq: 9223372036854775807\nce_version: 0\nce_prev: \n\n"), int32(3))
	f.Add([]byte(""), int32(0))
	f.Fuzz(func(t *testing.T, form []byte, shift int32) {
		m := kafkaMessage(form)
		m.Partition += shift
		r := eventlog.DecodeRecord(rawFromKafka(m), partitions)
		if r.Malformed == nil && (r.Stream != string(m.Key) || eventlog.PartitionOf(r.Stream, partitions) != m.Partition || r.Type == "") {
			t.Errorf("%q of key %q in partition %d is a record of stream %q", r.Type, m.Key, m.Partition, r.Stream)
		}
		if _, ok := (eventlog.Head{Seq: r.Seq - 1, Version: r.Version - 1, Digest: r.Prev}).Accept(&r); ok && r.Malformed != nil {
			t.Error("a malformed record is accepted")
		}
		if r.Malformed != nil || r.Unreadable != nil {
			return
		}
		second := eventlog.DecodeRecord(eventlog.RawMessage{Partition: m.Partition, Offset: m.Offset, Key: r.Stream, Headers: r.Headers(), Body: r.Body}, partitions)
		second.Digest = r.Digest // this binary may not know all headers
		if diff := cmp.Diff(r, second); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
