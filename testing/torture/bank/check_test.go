package bank

import (
	"slices"
	"testing"
	"time"

	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// claimStream is the claim of the number that changes its account.
var claimStream = aggregate.ClaimStream("account-number", "DE021203")

// A bank that keeps all promises has no violation.
func TestGood(t *testing.T) {
	w := good(t)
	r := Check(w.history, w.log)
	for _, v := range r.Violations {
		t.Error(v)
	}
	want := map[transfers.Status]int{transfers.Completed: 2, transfers.Returned: 2, transfers.Refused: 1}
	for status, n := range want {
		if r.Transfers[status] != n {
			t.Errorf("%d transfers are %s, want %d", r.Transfers[status], status, n)
		}
	}
	if r.Timers != 6 || r.Fired != 2 || r.Claimed != 3 || r.Sends == 0 || r.Published == 0 {
		t.Errorf("got %+v", r)
	}
}

// record finds a record of a type in a stream.
func (w *world) record(stream, recordType string) *eventlog.Record {
	w.t.Helper()
	of := w.log.Records[eventlog.PartitionOf(stream, w.log.Partitions)]
	for i := range of {
		if of[i].Stream == stream && of[i].Type == recordType {
			return &of[i]
		}
	}
	w.t.Fatalf("%s has no %s", stream, recordType)
	return nil
}

// cut takes the records of a stream from a type on out of the log.
func (w *world) cut(stream, recordType string) {
	w.t.Helper()
	from := w.record(stream, recordType)
	seq, partition := from.Seq, from.Partition
	// The places of the other records stay.
	w.log.Records[partition] = slices.DeleteFunc(w.log.Records[partition], func(r eventlog.Record) bool {
		return r.Stream == stream && r.Seq >= seq
	})
	w.heads[stream] = nil
	for i := range w.log.Records[partition] {
		if r := w.log.Records[partition][i]; r.Stream == stream {
			w.heads[stream] = &r
		}
	}
}

// again appends a record once more, with the next sequence number: its command
// takes effect twice.
func (w *world) again(stream, recordType string) {
	w.t.Helper()
	r := *w.record(stream, recordType)
	w.append(eventlog.Record{Stream: stream, Type: r.Type, Body: r.Body, Origin: r.Origin, CommandID: r.CommandID, Time: r.Time})
}

// reseal changes the last record of a stream.
func (w *world) reseal(stream string, change func(*eventlog.Record)) {
	w.t.Helper()
	of := w.log.Records[eventlog.PartitionOf(stream, w.log.Partitions)]
	for i, r := range slices.Backward(of) {
		if r.Stream == stream {
			change(&of[i])
			of[i].Seal()
			return
		}
	}
}

// Each broken promise is found, by its rule.
func TestBroken(t *testing.T) {
	for _, test := range []struct {
		name string
		rule string
		do   func(w *world)
	}{
		{"a deposit took effect twice", "a reaction's command took effect twice", func(w *world) { w.again("account/bob", "moneyDeposited") }},
		{"a deposit took effect twice", "money made or lost", func(w *world) { w.again("account/bob", "moneyDeposited") }},
		{"a pay-back took effect twice", "money made or lost", func(w *world) { w.again("account/alice", "moneyPaidBack") }},
		{"a deposit is lost", "a reaction's command is lost", func(w *world) { w.cut("account/bob", "moneyDeposited") }},
		{"a deposit is lost", "money made or lost", func(w *world) { w.cut("account/bob", "moneyDeposited") }},
		{"a transfer has not ended", "transfer not ended", func(w *world) { w.cut("transfer/rent", "transferCompleted") }},
		{"a command is lost", "lost", func(w *world) { w.cut("account/erin", "commandClaiming") }},
		{"a command took effect twice", "twice", func(w *world) { w.again("account/alice", "accountOpened") }},
		{"a record of nobody", "sent by nobody", func(w *world) {
			w.append(eventlog.Record{Stream: "account/bob", Type: "moneyDeposited", CommandID: "x", Body: []byte(`{"id":"bob","amount":1}`)})
		}},
		{"a record of another cause", "sent by nobody", func(w *world) {
			r := w.record("account/bob", "moneyDeposited")
			origin := *r.Origin
			origin.Cause.N = 7
			w.append(eventlog.Record{Stream: "account/bob", Type: r.Type, Body: r.Body, Origin: &origin, CommandID: origin.CommandID()})
		}},
		{"a command came late", "a reaction's commands out of order", func(w *world) {
			origin := *w.record("account/alice", "moneyPaidBack").Origin
			origin.Cause.Offset = 0
			w.append(eventlog.Record{Stream: "account/alice", Type: eventlog.TypeCommandUnchanged, Body: []byte(`{}`), Origin: &origin, CommandID: origin.CommandID()})
		}},
		{"a late record counts", "a late record counts", func(w *world) {
			r := w.record("account/bob", "moneyDeposited")
			w.log.Hostile = map[Place]bool{{Partition: r.Partition, Offset: r.Offset}: true}
		}},
		{"another amount", "decided otherwise", func(w *world) {
			w.append(eventlog.Record{Stream: "account/zoe", Type: "moneyDeposited", CommandID: "c4", Body: []byte(`{"id":"zoe","amount":1000}`)})
			s := w.history.Commands[3]
			s.User, s.HTTP = "account/zoe", 0
			w.history.Commands = append(w.history.Commands, s)
		}},
		{"another outcome was told", "another outcome", func(w *world) { w.history.Commands[0].Version = 2 }},
		{"a wrong sum was read", "not the fold of its position", func(w *world) { w.history.Reads[1].Money.Balances-- }},
		{"a wrong sum was read", "money made or lost", func(w *world) { w.history.Reads[1].Money.Balances-- }},
		{"an old sum was read", "stale", func(w *world) {
			w.history.Reads[2].Position = w.history.Reads[1].Position
			w.history.Reads[2].Money = w.history.Reads[1].Money
		}},
		{"a timer fired twice", "a timer fired twice", func(w *world) {
			r := w.record("transfer/gift", "transferFailed")
			w.append(eventlog.Record{Stream: r.Stream, Type: eventlog.TypeCommandUnchanged, Body: []byte(`{}`), Origin: r.Origin, CommandID: r.CommandID, Time: r.Time})
		}},
		{"a timer never fired", "a timer never fired", func(w *world) { w.cut("transfer/gift", "transferFailed") }},
		{"a timer has another time", "a timer's record has another time", func(w *world) {
			w.reseal("account/bob", func(r *eventlog.Record) { r.Time = r.Time.Add(time.Millisecond) })
		}},
		{"a timer fired early", "a timer fired early", func(w *world) {
			r := w.record("transfer/gift", "transferFailed")
			w.log.Appended[Place{Partition: r.Partition, Offset: r.Offset}] = r.Time.Add(-time.Second)
		}},
		{"nobody asked for a timer", "scheduled for nobody", func(w *world) { w.history.Commands[len(w.history.Commands)-3].NotBefore = time.Time{} }},
		{"two owners of a number", "two owners", func(w *world) {
			delete(w.owners, claimStream)
			w.command(accounts.OpenAccount{ID: "frank", Number: "DE021203"})
		}},
		{"a number is not given back", "claimed for ever", func(w *world) {
			owners := w.owners
			w.owners = nil
			w.command(accounts.CloseAccount{ID: "erin"})
			w.owners = owners
		}},
		{"an open account without its number", "not taken", func(w *world) { w.cut(claimStream, valueReleased) }},
		{"a number is given back by another", "given back by another", func(w *world) {
			r := w.record("account/bob", "accountOpened")
			origin := w.origin("unique", r, 1)
			w.append(eventlog.Record{Stream: claimStream, Type: valueReleased, Body: []byte(`{}`), Origin: origin, CommandID: origin.CommandID()})
		}},
		{"a claim was taken twice by one command", "a claim's command took effect twice", func(w *world) { w.again(claimStream, valueTaken) }},
		{"an event is not published", "not published", func(w *world) { w.log.Published["account"] = w.log.Published["account"][1:] }},
		{"events are published out of order", "published otherwise", func(w *world) {
			of := w.log.Published["transfer"]
			of[0], of[1] = of[1], of[0]
		}},
		{"something else is published", "published otherwise", func(w *world) { w.log.Published["account"][2].Body = []byte(`{}`) }},
		{"an unknown stream is published", "published of nothing", func(w *world) {
			w.log.Published["account"] = append(w.log.Published["account"], Published{Key: "account/none", ID: "x"})
		}},
		{"a number has two owners, as clients see", "two owners", func(w *world) {
			// The log says that alice gave the number back first; her client knows better.
			for i := range w.history.Commands {
				if s := &w.history.Commands[i]; s.Kind == "closeAccount" {
					s.Call, s.Return = s.Call+time.Hour, s.Return+time.Hour
				}
			}
		}},
	} {
		t.Run(test.name+": "+test.rule, func(t *testing.T) {
			w := good(t)
			test.do(w)
			r := Check(w.history, w.log)
			if !slices.ContainsFunc(r.Violations, func(v Violation) bool { return v.Rule == test.rule }) {
				t.Errorf("want %q, got %v", test.rule, r.Violations)
			}
		})
	}
}

// Repeats in the public topic are no fault.
func TestRepeatsArePublished(t *testing.T) {
	w := good(t)
	w.log.Published["account"] = append(w.log.Published["account"], w.log.Published["account"][:5]...)
	if r := Check(w.history, w.log); len(r.Violations) > 0 || r.Repeats != 5 {
		t.Errorf("%d repeats, %v", r.Repeats, r.Violations)
	}
}
