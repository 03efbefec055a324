package eventlog_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// record returns the next record of a stream behind head.
func record(head eventlog.Head, recordType, body string) *eventlog.Record {
	version := head.Version
	if eventlog.IsEvent(recordType) {
		version++
	}
	r := &eventlog.Record{
		Type: recordType, Stream: "order/a-7", Time: time.Date(2026, 9, 21, 9, 11, 12, 0, time.UTC),
		Seq: head.Seq + 1, Prev: head.Digest, Version: version,
		CommandID: "c-" + body, CommandPosition: eventlog.CommandPosition{TopicID: "q2Hn6X9yTkOYw1mVbZ0aLg"},
		Body: []byte(body),
	}
	r.Seal()
	return r
}

// Two command services believe to own the same partition. Both append a record
// with sequence number 1, and one of the services goes on from its own record.
// Every reader of the log comes to the same stream.
func ExampleHead_Accept() {
	var empty eventlog.Head
	placed := record(empty, "orderPlaced", `{"total":10}`)
	frozen := record(empty, "orderPlaced", `{"total":99}`)
	after := func(r *eventlog.Record) eventlog.Head {
		return eventlog.Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}
	}
	log := []*eventlog.Record{
		placed,
		frozen,                                   // another record with the same sequence number
		placed,                                   // sent again after an uncertain append
		record(after(frozen), "orderPaid", `{}`), // names a record that doesn't count
		record(after(placed), eventlog.TypeCommandRefused, `{"problem":"too-late"}`),
		record(after(placed), "orderPaid", `{}`), // the sequence number is in use
	}

	var head eventlog.Head
	for offset, r := range log {
		var counts bool
		head, counts = head.Accept(r)
		fmt.Printf("offset %d, %-14s seq %d: counts %-5v head: seq %d, version %d\n",
			offset, r.Type, r.Seq, counts, head.Seq, head.Version)
	}
	// Output:
	// offset 0, orderPlaced    seq 1: counts true  head: seq 1, version 1
	// offset 1, orderPlaced    seq 1: counts false head: seq 1, version 1
	// offset 2, orderPlaced    seq 1: counts false head: seq 1, version 1
	// offset 3, orderPaid      seq 2: counts false head: seq 1, version 1
	// offset 4, commandRefused seq 2: counts true  head: seq 2, version 1
	// offset 5, orderPaid      seq 2: counts false head: seq 2, version 1
}

// A malformed record is ignored. An unreadable record counts: the fold keeps the
// sequence number and stops the stream there.
func ExampleHead_Accept_unreadable() {
	malformed, unreadable := record(eventlog.Head{}, "orderPlaced", `{}`), record(eventlog.Head{}, "orderPlaced", `{}`)
	malformed.Malformed = errors.New("the key is not the subject")
	unreadable.Unreadable = errors.New("no ce_id")

	_, counts := eventlog.Head{}.Accept(malformed)
	fmt.Println("malformed counts:", counts)
	_, counts = eventlog.Head{}.Accept(unreadable)
	fmt.Println("unreadable counts:", counts)
	// Output:
	// malformed counts: false
	// unreadable counts: true
}

// canonical writes the canonical form from scratch, as another program would.
// Each element of headers is a key and a value; the elements are sorted by key.
func canonical(headers [][2]string, body string) []byte {
	form := binary.BigEndian.AppendUint32(nil, uint32(len(headers)))
	text := func(s string) {
		form = binary.BigEndian.AppendUint32(form, uint32(len(s)))
		form = append(form, s...)
	}
	for _, h := range headers {
		text(h[0])
		text(h[1])
	}
	text(body)
	return form
}

// The small worked example of DESIGN.md: the bytes of the canonical form, and
// their digest. Headers without the prefix ce_ are outside of the form.
func ExampleDigest() {
	form := canonical([][2]string{{"ce_a", "1"}, {"ce_b", "2"}}, "body")
	fmt.Println(len(form), "bytes")
	fmt.Printf("%x\n%x %x %x %x\n%x %x %x %x\n%x %x\n", form[:4],
		form[4:8], form[8:12], form[12:16], form[16:17],
		form[17:21], form[21:25], form[25:29], form[29:30],
		form[30:34], form[34:])
	fmt.Printf("%x\n", sha256.Sum256(form))

	r := eventlog.DecodeRecord(eventlog.RawMessage{
		Headers: []eventlog.Header{{Key: "ce_b", Value: "2"}, {Key: "content-type", Value: "x"}, {Key: "ce_a", Value: "1"}},
		Body:    []byte("body"),
	}, 1)
	fmt.Println(r.Digest)
	// Output:
	// 38 bytes
	// 00000002
	// 00000004 63655f61 00000001 31
	// 00000004 63655f62 00000001 32
	// 00000004 626f6479
	// 2c2374b1fe6234cde5f6c9e21776e3202f84e2fe02faa8b1f8768793af09f6a6
	// 2c2374b1fe6234cde5f6c9e21776e3202f84e2fe02faa8b1f8768793af09f6a6
}

// The whole record of DESIGN.md: headers, canonical form and digest.
func ExampleRecord_Seal() {
	r := eventlog.Record{
		Type: "userCreated", Stream: "user/1", Time: time.Date(2026, 9, 21, 9, 11, 12, 0, time.UTC),
		Seq: 1, Version: 1, CommandID: "c-1",
		CommandHash:     "f65840f2c4e7eeea74fedf3acc619dd93f34bacfe30521858d998833bdea214e",
		CommandPosition: eventlog.CommandPosition{TopicID: "q2Hn6X9yTkOYw1mVbZ0aLg", Offset: 0},
		Body:            []byte(`{"id":1,"name":"Alice"}`),
	}
	r.Seal()

	var inside [][2]string
	for _, h := range r.Headers() { // in the order of the keys
		fmt.Printf("%s: %s\n", h.Key, h.Value)
		if h.Key != eventlog.HeaderContentType {
			inside = append(inside, [2]string{h.Key, h.Value})
		}
	}
	form := canonical(inside, string(r.Body))
	fmt.Printf("%d bytes: %x %x %x %x %s…\n", len(form), form[:4], form[4:8], form[8:22], form[22:26], form[26:36])
	fmt.Println("same digest:", r.Digest == sha256.Sum256(form))
	fmt.Println(r.Digest)
	// Output:
	// ce_commandhash: f65840f2c4e7eeea74fedf3acc619dd93f34bacfe30521858d998833bdea214e
	// ce_commandid: c-1
	// ce_commandposition: q2Hn6X9yTkOYw1mVbZ0aLg/0
	// ce_id: 1862f8ce-1e42-596b-ae71-1845cd7026c3
	// ce_prev: 0000000000000000000000000000000000000000000000000000000000000000
	// ce_seq: 1
	// ce_source: urn:millrace:command-service
	// ce_specversion: 1.0
	// ce_subject: user/1
	// ce_time: 2026-09-21T09:11:12.000Z
	// ce_type: userCreated
	// ce_version: 1
	// content-type: application/json
	// 511 bytes: 0000000c 0000000e 63655f636f6d6d616e6468617368 00000040 f65840f2c4…
	// same digest: true
	// 5e8efbec6268ffcfae3655021ff8a9ca8df26c14927df05a734d92d72a0bbb84
}

// A client keeps the token of its last answer. A read model answers once its own
// position covers the token's position.
func ExamplePosition() {
	model := eventlog.Position{0: 120, 1: 7} // the checkpoints of a read model
	answer := eventlog.Position{0: 121}      // behind the record at offset 120 of partition 0

	token := eventlog.EncodePosition(answer)
	fmt.Println(token)
	position, err := eventlog.ParsePosition(token)
	fmt.Println(position, err)

	fmt.Println(model.Covers(position))
	fmt.Println(model.Max(position), model.Max(position).Covers(position))

	_, err = eventlog.ParsePosition("AQCBAA") // the same place with a longer varint
	fmt.Println(err)
	// Output:
	// AQB5
	// map[0:121] <nil>
	// false
	// map[0:121 1:7] true
	// must be a position as this service gave it
}

// A token of an answer names a position, or a command without an outcome yet.
func ExampleParseAwaited() {
	for _, token := range []string{
		eventlog.EncodePosition(eventlog.Position{5: 42}),
		eventlog.EncodeSentCommand(eventlog.SentCommand{
			Stream: "order/a-7", ID: "c-1",
			CommandPlace: eventlog.CommandPlace{Partition: 5, CommandPosition: eventlog.CommandPosition{TopicID: "t", Offset: 300}},
		}),
	} {
		awaited, err := eventlog.ParseAwaited(token)
		switch {
		case err != nil:
			fmt.Println(err)
		case awaited.Command != nil:
			fmt.Println(token, "is command", awaited.Command.ID, "of", awaited.Command.Stream, "at", awaited.Command.CommandPlace.Offset)
		default:
			fmt.Println(token, "is position", awaited.Position)
		}
	}
	// Output:
	// AQUq is position map[5:42]
	// AgWsAgF0CW9yZGVyL2EtNwNjLTE is command c-1 of order/a-7 at 300
}
