package eventlog

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The form of an event in a public topic never changes.
func TestPublicHeaders(t *testing.T) {
	t.Parallel()
	r := Record{
		Partition: 3, Offset: 42, ID: "0b1d1c0e-5b0a-5c7e-9a59-6f2b0a9f4c11", Type: "listMade", Stream: "list/1",
		Time: time.Date(2026, 11, 30, 13, 14, 15, 16e6, time.UTC), Seq: 9, Version: 7, CommandID: "c-1", CommandHash: "aa",
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "0b1d1c0e-5b0a-5c7e-9a59-6f2b0a9f4c11", "ce_type": "listCreated", "ce_source": "urn:millrace:command-service",
		"ce_subject": "list/1", "ce_time": "2026-11-30T13:14:15.016Z", "ce_version": "7", "ce_position": "AAAAAAAAAAAAAAAAAAAAAA/3/42",
		"content-type": "application/json",
	}
	same := func() {
		t.Helper()
		got := map[string]string{}
		for _, h := range r.PublicHeaders("listCreated", "AAAAAAAAAAAAAAAAAAAAAA") {
			got[h.Key] = h.Value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	}
	same()
	r.Trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	want["traceparent"] = r.Trace
	same()
}

func TestEventPlace(t *testing.T) {
	t.Parallel()
	for _, p := range []EventPlace{{"AAAAAAAAAAAAAAAAAAAAAA", 0, 0}, {"x", 11, 1<<63 - 1}} {
		if got, err := ParseEventPlace(p.String()); err != nil || got != p {
			t.Errorf("%s is read as %v, %v", p, got, err)
		}
	}
	for _, text := range []string{"", "x", "x/1", "/1/2", "x/1/2/3", "x/-1/2", "x/1/-2", "x/01/2", "x/1/02", "x/1/+2", "x/2147483648/1", "x/1/9223372036854775808"} {
		if p, err := ParseEventPlace(text); err == nil {
			t.Errorf("%q is read as %v", text, p)
		}
	}
}
