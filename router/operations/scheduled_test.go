package operations

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// schedule adds a commandScheduled of command c-<offset>.
func (l *memoryLog) schedule(h eventlog.Head, notBefore string) eventlog.Head {
	return l.add(h, "order/1", eventlog.TypeCommandScheduled, `{"commandType":"cancelOrder","payload":{"id":"1"},"notBefore":"`+notBefore+`"}`)
}

// end adds a record of the command whose commandScheduled is at an offset.
func (l *memoryLog) end(h eventlog.Head, scheduled int, recordType, body string) eventlog.Head {
	l.add(h, "order/1", recordType, body)
	r := &(*l)[len(*l)-1].Record
	r.CommandID, r.CommandPosition = (*l)[scheduled].CommandID, (*l)[scheduled].CommandPosition
	r.Seal()
	head, _ := h.Accept(r)
	return head
}

// A scan lists the commands that wait, the earliest first, from their
// commandScheduled to their end.
func TestScanListsWhatWaits(t *testing.T) {
	t.Parallel()
	l := memoryLog{}
	h := l.add(eventlog.Head{}, "order/1", "orderPlaced", `{"id":"1","name":"Alice"}`)
	h = l.schedule(h, "2030-01-01T00:00:00.000Z")
	h = l.schedule(h, "2029-06-01T02:00:00+02:00")
	h = l.schedule(h, "2029-01-01T00:00:00.000Z")
	h = l.schedule(h, "2029-01-01T00:00:00.000Z")
	l.schedule(eventlog.Head{}, "2028-01-01T00:00:00.000Z") // the gate ignores this record
	h = l.add(h, "order/1", eventlog.TypeScheduledCancelled, `{"commandId":"c-3"}`)
	h = l.end(h, 3, eventlog.TypeCommandRefused, `{"problem":"command-cancelled"}`)
	l.end(h, 4, "orderRenamed", `{"id":"1","name":"Al"}`)
	_, of := scan(t, l, Page{Limit: 100})
	want := []Scheduled{{"c-2", "cancelOrder", "2029-06-01T00:00:00.000Z"}, {"c-1", "cancelOrder", "2030-01-01T00:00:00.000Z"}}
	if diff := cmp.Diff(want, of.Scheduled); diff != "" || of.Waiting != 2 {
		t.Errorf("%d wait (-want +got):\n%s", of.Waiting, diff)
	}
}

// A scan lists no more commands than fit on a page, and counts all.
func TestScanListsTheFirst(t *testing.T) {
	t.Parallel()
	l, h := memoryLog{}, eventlog.Head{}
	for i := range maxScheduled + 20 {
		h = l.schedule(h, fmt.Sprintf("20%d-01-01T00:00:00.000Z", 99-i/2))
	}
	_, of := scan(t, l, Page{Limit: 1})
	if of.Waiting != maxScheduled+20 || len(of.Scheduled) != maxScheduled {
		t.Fatalf("%d of %d are listed", len(of.Scheduled), of.Waiting)
	}
	if first := of.Scheduled[0].NotBefore; first != "2040-01-01T00:00:00.000Z" {
		t.Errorf("the first is not before %s", first)
	}
}
