package operations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// memoryLog is a log in memory, read in pieces of two records.
type memoryLog []kafka.Stamped

func (l memoryLog) Stream(_ context.Context, stream string, fn func([]kafka.Stamped, int64, int64) error) error {
	read := int64(0)
	for some := range slices.Chunk(l, 2) {
		read += int64(len(some))
		of := slices.DeleteFunc(slices.Clone(some), func(s kafka.Stamped) bool { return s.Stream != stream })
		if err := fn(of, read, int64(len(l))); err != nil {
			return err
		}
	}
	return nil
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// add adds a record behind a head. The result is the head behind the record.
func (l *memoryLog) add(h eventlog.Head, stream, recordType, body string) eventlog.Head {
	r := eventlog.Record{
		Offset: int64(len(*l)), Stream: stream, Type: recordType, Time: noon, Seq: h.Seq + 1, Prev: h.Digest, Version: h.Version,
		CommandID: fmt.Sprint("c-", len(*l)), CommandHash: "h", CommandPosition: eventlog.CommandPosition{TopicID: "t", Offset: int64(len(*l))}, Body: []byte(body),
	}
	if eventlog.IsEvent(recordType) {
		r.Version++
	}
	r.Seal()
	*l = append(*l, kafka.Stamped{Record: r, Appended: noon.Add(time.Second)})
	head, _ := h.Accept(&r)
	return head
}

// scan scans the log for order/1.
func scan(t *testing.T, l memoryLog, page Page) (records []*Record, of *Stream) {
	t.Helper()
	of, err := Scan(t.Context(), l, orders.Registry, "order/1", 12, page,
		func(r *Record) error { records = append(records, r); return nil },
		func(int64, int64) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return records, of
}

// story is a log with an order, a refusal, a record that came too late, an edited
// record, and records of others.
func story() memoryLog {
	l := memoryLog{}
	placed := l.add(eventlog.Head{}, "order/1", "orderPlaced", `{"id":"1","name":"Alice"}`)
	l.add(eventlog.Head{}, "order/2", "orderPlaced", `{"id":"2","name":"Bob"}`)
	refused := l.add(placed, "order/1", eventlog.TypeCommandRefused, `{"commandType":"placeOrder","problem":"order-exists","detail":"there is one"}`)
	l.add(placed, "order/1", "orderRenamed", `{"id":"1","name":"Late"}`)
	edited := l.add(refused, "order/1", "orderRenamed", `{"id":"1","name":"Edited"}`)
	l[len(l)-1].Prev[0]++
	l.add(edited, "order/1", "orderRenamed", `{"id":"1","name":"Behind"}`)
	renamed := l.add(refused, "order/1", "orderRenamed", `{"id":"1","name":"Alison"}`)
	l.add(renamed, "order/1", "orderCancelled", `{"id":"1"}`)
	return l
}

// A scan says of each record whether the record counts, and why not, and has the
// state after each record.
func TestScanSaysWhatCounts(t *testing.T) {
	t.Parallel()
	records, of := scan(t, story(), Page{Limit: 100, Versions: []uint64{2}})
	var got []string
	for _, r := range records {
		got = append(got, fmt.Sprintf("%d %s %s %t %s", r.Offset, r.Type, r.Outcome, r.Counts, r.Ignored))
	}
	want := []string{
		"0 orderPlaced succeeded true ",
		"2 commandRefused refused true ",
		"3 orderRenamed  false sequence number 2, and the next is 3",
		"4 orderRenamed  false ce_prev is not the digest of the record before",
		"5 orderRenamed  false sequence number 4, and the next is 3",
		"6 orderRenamed succeeded true ",
		"7 orderCancelled succeeded true ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if of.Records != 7 || of.Ignored != 3 || of.Seq != 4 || of.Version != 3 || of.Read != 8 || of.More || of.Digest != records[6].Digest {
		t.Errorf("%+v", of)
	}
	for i, of := range []int{0, 1, 5} { // each record that counts is linked to the one before
		if next := []int{1, 5, 6}[i]; records[next].Prev != records[of].Digest {
			t.Errorf("record %d is not linked to record %d", next, of)
		}
	}
	if string(records[2].State) != "" || string(records[0].State) != string(records[1].State) || string(records[5].State) == string(records[0].State) {
		t.Errorf("the states are %s, %s, %s, %s", records[0].State, records[1].State, records[2].State, records[5].State)
	}
	if len(of.States) != 1 || of.States[0].Version != 2 || string(of.States[0].State) != string(records[5].State) {
		t.Errorf("the state at version 2 is %+v, and %s", of.States, records[5].State)
	}
	if string(of.State) != string(records[6].State) {
		t.Errorf("the state now is %s", of.State)
	}
}

// A page has its records alone, with the states of the whole stream.
func TestScanOfAPage(t *testing.T) {
	t.Parallel()
	all, _ := scan(t, story(), Page{Limit: 100})
	var pages []*Record
	for after := int64(0); ; after += 3 {
		some, of := scan(t, story(), Page{After: after, Limit: 3})
		pages = append(pages, some...)
		if len(some) > 3 || of.Records != 7 {
			t.Fatalf("page after %d has %d records of %d", after, len(some), of.Records)
		}
		if !of.More {
			break
		}
	}
	if diff := cmp.Diff(all, pages); diff != "" {
		t.Errorf("(-whole +pages):\n%s", diff)
	}
}

// Behind an event that this binary can't apply, the state stays as it is.
func TestScanBehindAnUnknownEvent(t *testing.T) {
	t.Parallel()
	l := memoryLog{}
	h := l.add(eventlog.Head{}, "order/1", "orderPlaced", `{"id":"1","name":"Alice"}`)
	h = l.add(h, "order/1", "orderShipped", `no JSON`)
	l.add(h, "order/1", "orderRenamed", `{"id":"1","name":"Al"}`)
	records, of := scan(t, l, Page{Limit: 100})
	if of.Seq != 3 || of.Version != 3 || !strings.Contains(of.Unreadable, "record 2: ") || string(of.State) != string(records[0].State) {
		t.Errorf("%+v", of)
	}
	if records[1].Unreadable == "" || records[1].Text != "no JSON" || records[1].Body != nil || records[2].Unreadable == "" {
		t.Errorf("%+v, %+v", records[1], records[2])
	}
	if _, err := json.Marshal(records); err != nil {
		t.Error(err)
	}
}

// Progress goes on while no record of the stream comes, and can end the scan.
func TestScanIsCancelled(t *testing.T) {
	t.Parallel()
	l := memoryLog{}
	for range 10 {
		l.add(eventlog.Head{}, "order/2", "orderPlaced", `{"id":"2","name":"Bob"}`)
	}
	var said []int64
	enough := errors.New("enough")
	_, err := Scan(t.Context(), l, orders.Registry, "order/1", 12, Page{}, nil, func(read, all int64) error {
		if said = append(said, read, all); read == 6 {
			return enough
		}
		return nil
	})
	if diff := cmp.Diff([]int64{2, 10, 4, 10, 6, 10}, said); diff != "" || !errors.Is(err, enough) {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if _, err := Scan(t.Context(), l, orders.Registry, "planet/1", 12, Page{}, nil, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("a stream of no aggregate: %v", err)
	}
}
