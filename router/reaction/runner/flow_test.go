package runner

import (
	"math"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// A command that every command service would put into the dead letters fails the
// reaction. However old the record is, a time that has passed is no wait.
func TestAskChecks(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	farVersion := uint64(math.MaxUint64)
	for _, test := range []struct {
		name    string
		command eventlog.Envelope
		want    string // the error, or else the time to wait for
	}{
		{"now", eventlog.Envelope{}, "0001-01-01T00:00:00Z"},
		{"in ten years", eventlog.Envelope{NotBefore: now.AddDate(10, 0, 0)}, "2036-11-30T12:00:00Z"},
		{"later", eventlog.Envelope{NotBefore: now.AddDate(10, 0, 1)}, "command 0: sendParcel: ce_notbefore must be at most ten years away"},
		{"at once", eventlog.Envelope{NotBefore: now}, "0001-01-01T00:00:00Z"},
		{"long ago", eventlog.Envelope{NotBefore: now.AddDate(-11, 0, 0)}, "0001-01-01T00:00:00Z"},
		{"a version", eventlog.Envelope{ExpectedVersion: &farVersion}, "command 0: sendParcel: ce_expectedversion must be an integer from 0 to 9007199254740991, without fraction or exponent"},
	} {
		command := test.command
		command.Stream, command.Type, command.Body = "parcel/1", "sendParcel", []byte(`{"id":"1"}`)
		r := newRun(&Runner{TopicID: "t", Now: func() time.Time { return now }}, Reaction{Name: "r", React: func(*eventlog.Record) ([]eventlog.Envelope, error) {
			return []eventlog.Envelope{command}, nil
		}}, 0)
		c := &eventlog.Record{Stream: "order/1", Offset: 7}
		envelopes, err := r.ask(t.Context(), c)
		if err != nil {
			if err.Error() != test.want {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		r.put(c, envelopes)
		if got := r.window.ready[0].envelope.NotBefore.Format(time.RFC3339Nano); got != test.want {
			t.Errorf("%s: waits for %s, want %s", test.name, got, test.want)
		}
	}
}
