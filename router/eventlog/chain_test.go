package eventlog

import (
	"errors"
	"testing"
	"time"
)

// sealed returns a record of stream "user/1", the next after head.
func sealed(head Head, recordType, body string) *Record {
	r := &Record{
		Type: recordType, Stream: "user/1", Time: time.Date(2026, 9, 21, 9, 11, 12, 0, time.UTC),
		Seq: head.Seq + 1, Prev: head.Digest, Version: head.next(recordType),
		CommandID: "c-1", CommandHash: "h", CommandPosition: CommandPosition{TopicID: "t", Offset: 7},
		Body: []byte(body),
	}
	r.Seal()
	return r
}

func TestAccept(t *testing.T) {
	var head Head
	for i, step := range []struct {
		recordType string
		version    uint64
	}{
		{"userCreated", 1},
		{TypeCommandRefused, 1},
		{TypeCommandUnchanged, 1},
		{"userRenamed", 2},
		{TypeCommandParked, 2},
		{TypeCommandQueued, 2},
		{TypeParkedRequeued, 2},
		{TypeParkedDropped, 2},
		{TypeCommandScheduled, 2},
		{TypeScheduledCancelled, 2},
		{TypeCommandClaiming, 2},
		{TypeClaimAnswered, 2},
		{"eventOfANewerBinary", 3},
	} {
		r := sealed(head, step.recordType, "{}")
		next, ok := head.Accept(r)
		if want := (Head{Seq: uint64(i + 1), Version: step.version, Digest: r.Digest}); !ok || next != want {
			t.Fatalf("%s: got %+v, %v, want %+v", step.recordType, next, ok, want)
		}
		if again, ok := next.Accept(r); ok || again != next {
			t.Errorf("%s: accepted twice", step.recordType)
		}
		head = next
	}
}

// An unreadable record keeps its sequence number, because a newer binary reads
// the record.
func TestAcceptUnreadable(t *testing.T) {
	r := sealed(Head{}, "userCreated", "{}")
	r.Unreadable = errors.New("body of the future")
	if _, ok := (Head{}).Accept(r); !ok {
		t.Error("ignored")
	}
}

func TestAcceptFirstWins(t *testing.T) {
	first, second := sealed(Head{}, "userCreated", `{"id":1,"name":"Alice"}`), sealed(Head{}, "userCreated", `{"id":1,"name":"Bob"}`)
	head, ok := Head{}.Accept(first)
	if !ok {
		t.Fatal("the first is ignored")
	}
	if _, ok := head.Accept(second); ok {
		t.Error("the second record took the same sequence number")
	}
	if _, ok := head.Accept(sealed(Head{Seq: 1, Version: 1, Digest: second.Digest}, "userRenamed", "{}")); ok {
		t.Error("a record on top of the second is accepted")
	}
}

// After an edit of any field, the gate ignores the record or the next record.
func TestAcceptTampered(t *testing.T) {
	head, _ := Head{}.Accept(sealed(Head{}, "userCreated", "{}"))
	for name, tamper := range map[string]func(*Record){
		"seq before":       func(r *Record) { r.Seq-- },
		"seq after":        func(r *Record) { r.Seq++ },
		"seq 0":            func(r *Record) { r.Seq = 0 },
		"prev":             func(r *Record) { r.Prev[31] ^= 1 },
		"prev of nothing":  func(r *Record) { r.Prev = Digest{} },
		"version before":   func(r *Record) { r.Version-- },
		"version after":    func(r *Record) { r.Version++ },
		"event to outcome": func(r *Record) { r.Type = TypeCommandRefused },
		"malformed":        func(r *Record) { r.Malformed = errors.New("no key") },
	} {
		r := sealed(head, "userRenamed", "{}")
		tamper(r)
		if next, ok := head.Accept(r); ok || next != head {
			t.Errorf("%s: accepted", name)
		}
	}
	outcome := sealed(head, TypeCommandRefused, "{}")
	outcome.Type = "userRenamed"
	if _, ok := head.Accept(outcome); ok {
		t.Error("outcome to event: accepted")
	}

	second := sealed(head, "userRenamed", `{"id":1,"name":"Bob"}`)
	next, _ := head.Accept(second)
	third := sealed(next, "userDeleted", "{}")
	for name, tamper := range map[string]func(*Record){
		"nothing":          func(*Record) {},
		"body":             func(r *Record) { r.Body = []byte(`{"id":1,"name":"Eve"}`) },
		"type":             func(r *Record) { r.Type = "userDeactivated" },
		"time":             func(r *Record) { r.Time = r.Time.Add(time.Millisecond) },
		"command id":       func(r *Record) { r.CommandID = "c-2" },
		"command hash":     func(r *Record) { r.CommandHash = "" },
		"command position": func(r *Record) { r.CommandPosition.Offset++ },
		"command topic":    func(r *Record) { r.CommandPosition.TopicID = "u" },
	} {
		r := *second
		tamper(&r)
		r.Digest = digestOf(r.Headers(), r.Body) // as every reader computes the digest
		next, ok := head.Accept(&r)
		if !ok {
			t.Errorf("%s: the record is ignored", name)
		}
		if _, ok := next.Accept(third); ok != (name == "nothing") {
			t.Errorf("%s: the next record is accepted: %v", name, ok)
		}
	}
}
