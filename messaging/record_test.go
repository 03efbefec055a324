package messaging

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
)

const commandsTopicID = "q2Hn6X9yTkOYw1mVbZ0aLg"

// goldenRecords are the records of testdata: one stream, one record of each
// type. Ids, digests and what follows from them stand in the files alone.
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
		"192275feb4df5bb6d83152cc7df87f84f7dfb18ac14198ed18b6c30f92f3becf",
	},
	{
		"userRenamed", 1000, "d1a197998c2ee46ff15ab0841e6e654d6f1161f3aef163e673b16035f2019cc7", 2, `{"id":1,"name":"Zoë"}`,
		"679a70e2e6c0c257b8fb14cf1bf7f262bc41a9c1658350793d2f43caec462e9f",
	},
	{
		"commandUnchanged", 2000, "d924b9af4d5634f65affd49c989a5534c6cdd33b75e97e3940696b096e6ed49d", 2, `{"commandType":"renameUser"}`,
		"1503554ccc45dd645df921cdec6adc780e43b297f3f8a09cf2c6b068871d900a",
	},
	{
		"commandRefused", 3000, "b9abcb1524c33a3a9656052f31869012ac4275517e63bb13040465fca21ae504", 2, `{"commandType":"createUser","problem":"user-exists","detail":"the user exists already"}`,
		"dc46436a7086b31c1fe1f80cb7d411715f22208f2d4534a7216b29d0ef345233",
	},
	{
		"userDeactivated", 4000, "38aa0b09a3d14d8af987c45bb9c97177827c787e8974718cf371f87953dd69f6", 3, `{"id":1}`,
		"66e5c86c3330f2cc5d63594cefb57f4eeb9cab311f66614602b1d7a69a53b532",
	},
	{
		"userReactivated", 5000, "d8ea0533b86f4e48be58bda604ec9c49f2ace29870a2cc8d8435936180d42215", 4, `{"id":1}`,
		"5af8c885e8e878dd84f9a2ea483c8897db77b493402e46df5eecdb9761589040",
	},
	{
		"commandParked", 6000, "aa02c2e604efd64842b64ad5fd0c98c9ad07066b566a02016180ef1b6147b42c", 4, `{"commandType":"renameUser","payload":{"id":1,"name":"Ann"},"reason":"the decision panicked"}`,
		"9e0468ae3de67975bcc07fc68dced4b63502cc4b5ac059f44e897d2fea00f092",
	},
	{
		"commandQueued", 7000, "38aa0b09a3d14d8af987c45bb9c97177827c787e8974718cf371f87953dd69f6", 4, `{"commandType":"deactivateUser","payload":{"id":1},"reason":"an earlier command is parked"}`,
		"110c7f6aaa9e1db98c7db6a675c1c800644692071f7f128aa0c8e39598705c25",
	},
	{
		"parkedRequeued", 8000, "62707593c1b3fad5372e0fd48678ef8212ab3d5e23505c6f2b66e41d62affb48", 4, `{"commandId":"c-7"}`,
		"7efaf89aa7721f728b8b00e0cc5f80cea2ef68f24cafd153368248b17c8943dc",
	},
	{
		"parkedDropped", 9000, "a51751aaa3ea65110e00937c6a18fc318edf1c0ed4749481438d0338de618dfa", 4, `{"commandId":"c-7"}`,
		"94842ade5813884ef1b66df41542077ae85721735dc28a8377cf5252fa572267",
	},
	{
		"userDeleted", 10000, "f99d098bba8b9de2979482fe8436c5e8bd3a88ff3e88252973aa9421e3109261", 5, `{"id":1}`,
		"6b3d43a99d97684184a66027129418989d1a8d558e95bf3ca6b6de2d1b1a06d8",
	},
}

func TestRecordOnTheWire(t *testing.T) {
	var head Head
	for i, entry := range goldenRecords {
		t.Run(entry.recordType, func(t *testing.T) {
			want := Record{
				Type: entry.recordType, Stream: "1",
				Time: time.Date(2026, 9, 21, 9, 11, 12, 0, time.UTC).Add(time.Duration(entry.millisecond) * time.Millisecond),
				Seq:  head.Seq + 1, Prev: head.Digest, Version: entry.version,
				CommandID: fmt.Sprintf("c-%d", i+1), CommandHash: entry.commandHash,
				CommandPosition: CommandPosition{TopicID: commandsTopicID, Offset: int64(41 + i)},
				Body:            []byte(entry.body),
			}
			want.Seal()
			if got := want.Digest.String(); got != entry.digest {
				t.Errorf("digest %s, want %s", got, entry.digest)
			}
			msg, err := RecordMarshaler{}.Marshal(&want)
			if diff := cmp.Diff(string(golden(t, entry.recordType)), onTheWire(t, msg, err)); diff != "" {
				t.Errorf("written (-want +got):\n%s", diff)
			}
			from := kafkaMessage(golden(t, entry.recordType))
			from.Offset = 1000 + int64(i)
			got := decodeRecord(rawFromKafka(from), partitions)
			want.Partition, want.Offset = PartitionOf("1", partitions), from.Offset
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
			next, ok := head.Accept(&got)
			if !ok {
				t.Fatalf("not accepted after %+v", head)
			}
			head = next
		})
	}
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
			if r := decodeRecord(rawFromKafka(m), partitions); r.Malformed == nil {
				t.Errorf("read as %+v", r)
			}
		})
	}
}

// What the gate needs is there, so the record has its slot; but this binary
// must not guess at the rest.
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
	} {
		t.Run(name, func(t *testing.T) {
			m := kafkaMessage(golden(t, "userRenamed"))
			spoil(m)
			r := decodeRecord(rawFromKafka(m), partitions)
			if r.Malformed != nil || r.Unreadable == nil {
				t.Errorf("malformed %v, unreadable %v", r.Malformed, r.Unreadable)
			}
			head := Head{Seq: r.Seq - 1, Version: r.Version - 1, Digest: r.Prev}
			if _, ok := head.Accept(&r); !ok {
				t.Error("it lost its slot")
			}
		})
	}
}

// Headers to come are no obstacle, and they are in the digest.
func TestDecodeRecordOfANewerBinary(t *testing.T) {
	before := decodeRecord(rawFromKafka(kafkaMessage(golden(t, "userRenamed"))), partitions)
	m := kafkaMessage(golden(t, "userRenamed"))
	set(m, "ce_new", "a")
	after := decodeRecord(rawFromKafka(m), partitions)
	if after.Malformed != nil || after.Unreadable != nil {
		t.Errorf("malformed %v, unreadable %v", after.Malformed, after.Unreadable)
	}
	if before.Digest == after.Digest {
		t.Error("the digest is the same")
	}
}

func TestParseCommandPosition(t *testing.T) {
	for text, want := range map[string]CommandPosition{
		"a/0":                   {"a", 0},
		"a/9223372036854775807": {"a", 1<<63 - 1},
	} {
		if got, err := ParseCommandPosition(text); got != want || err != nil || got.String() != text {
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

// No record, however strange, stops a fold by a panic; and what is read as a
// record of a stream stands in the place of that stream.
func FuzzDecodeRecord(f *testing.F) {
	for _, entry := range goldenRecords {
		f.Add(golden(f, entry.recordType), int32(0))
	}
	f.Add([]byte("key: \nce_seq: 1\nce_seq: 2\n\n"), int32(-1))
	f.Add([]byte("key: 1\nce_subject: 1\nce_type: a\nce_seq: 9223372036854775807\nce_version: 0\nce_prev: \n\n"), int32(3))
	f.Add([]byte(""), int32(0))
	f.Fuzz(func(t *testing.T, form []byte, shift int32) {
		m := kafkaMessage(form)
		m.Partition += shift
		r := decodeRecord(rawFromKafka(m), partitions)
		if r.Malformed == nil && (r.Stream != string(m.Key) || PartitionOf(r.Stream, partitions) != m.Partition || r.Type == "") {
			t.Errorf("%q of key %q in partition %d is a record of stream %q", r.Type, m.Key, m.Partition, r.Stream)
		}
		if _, ok := (Head{Seq: r.Seq - 1, Version: r.Version - 1, Digest: r.Prev}).Accept(&r); ok && r.Malformed != nil {
			t.Error("a malformed record is accepted")
		}
		if r.Malformed != nil || r.Unreadable != nil {
			return
		}
		second := decodeRecord(rawMessage{partition: m.Partition, offset: m.Offset, key: r.Stream, headers: r.headers(), body: r.Body}, partitions)
		second.Digest = r.Digest // there may be headers that this binary doesn't know
		if diff := cmp.Diff(r, second); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
