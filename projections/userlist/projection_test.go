package userlist

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
)

var update = flag.Bool("update", false, "write the golden files anew")

// history makes accepted records, a second apart from noon on.
type history struct {
	t        *testing.T
	versions map[string]uint64
	events   []projection.Event
}

func newHistory(t *testing.T) *history {
	return &history{t: t, versions: map[string]uint64{}}
}

func (h *history) add(recordType, id, body string) {
	h.t.Helper()
	e := projection.Event{AggregateID: id, Record: eventlog.Record{
		Offset: int64(len(h.events)), Type: recordType, Stream: users.Aggregate.Stream(id), Body: []byte(body),
		Time: time.Date(2026, 1, 2, 13, 0, len(h.events), 45e6, time.FixedZone("", 3600)),
	}}
	if eventlog.IsEvent(recordType) {
		data, err := users.Aggregate.DecodeEvent(recordType, e.Body)
		if err != nil {
			h.t.Fatal(err)
		}
		h.versions[id]++
		e.Data = data
	}
	e.Version = h.versions[id]
	h.events = append(h.events, e)
}

func (h *history) created(id, name string) {
	h.t.Helper()
	body, err := json.Marshal(users.UserCreated{ID: users.ID(id), Name: users.Name(name)})
	if err != nil {
		h.t.Fatal(err)
	}
	h.add("userCreated", id, string(body))
}

// memory is rows without a store. apply may look at the rows of keys only.
type memory struct {
	rows map[string]projection.Row
	keys []projection.RowKey
}

func (m *memory) check(table string, key []any) string {
	for _, named := range m.keys {
		if named.Table == table && reflect.DeepEqual([]any(named.Key), key) {
			return fmt.Sprint(table, key)
		}
	}
	panic(fmt.Sprintf("row %v of %s was not named", key, table))
}

func (m *memory) Get(table string, key ...any) projection.Row {
	return slices.Clone(m.rows[m.check(table, key)])
}
func (m *memory) Put(table string, row projection.Row) { m.rows[m.check(table, row[:1])] = row }
func (m *memory) Delete(table string, key ...any)      { delete(m.rows, m.check(table, key)) }

func (m *memory) apply(e projection.Event) error {
	m.keys = Projection.Keys(e)
	return Projection.Apply(m, e)
}

// The golden file has each event, and the user's row after the event.
func TestProjection(t *testing.T) {
	h := newHistory(t)
	h.created("1", "Alice")
	h.created("01", "Zero One")
	h.created("ä/b", "Ärger")
	h.add("userRenamed", "1", `{"id":1,"name":"Alicia","addedByANewerBinary":true}`)
	h.add("commandRefused", "1", `{"slug":"user-exists"}`)
	h.add("userDeactivated", "1", `{"id":1}`)
	h.add("commandUnchanged", "1", `{}`)
	h.add("userReactivated", "1", `{"id":1}`)
	h.add("userDeactivated", "01", `{"id":"01"}`)
	h.add("userDeleted", "01", `{"id":"01"}`)
	h.add("userDeleted", "1", `{"id":1}`)
	h.add("commandRefused", "404", `{"slug":"user-not-found"}`)
	h.created("2", "Bob")
	h.add("userEmailChanged", "2", `{"id":2,"email":"bob@example.org"}`)
	h.add("userRenamed", "2", `{"id":2,"name":"Bobby"}`)
	h.add("userEmailChanged", "2", `{"id":2,"email":""}`)
	h.add("userEmailChanged", "2", `{"id":2,"email":"Bobby@example.org"}`)
	h.add("userDeleted", "2", `{"id":2}`)

	m := &memory{rows: map[string]projection.Row{}}
	var got strings.Builder
	for _, e := range h.events {
		fmt.Fprintf(&got, "%s %s %s\n", e.Stream, e.Type, e.Body)
		if err := m.apply(e); err != nil {
			t.Fatal(err)
		}
		row, err := json.Marshal(m.rows[fmt.Sprint(table, []any{users.ID(e.AggregateID).SortKey()})])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&got, "\t%s\n", row)
	}

	const golden = "testdata/projection.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The values in rows are of the types of the columns, or the store would refuse the
// rows.
func TestRowsFitTheTable(t *testing.T) {
	h := newHistory(t)
	h.created("1", "Alice")
	m := &memory{rows: map[string]projection.Row{}}
	if err := m.apply(h.events[0]); err != nil {
		t.Fatal(err)
	}
	columns := Projection.Tables[0].Columns
	for _, row := range m.rows {
		if len(row) != len(columns) {
			t.Fatalf("%d values for %d columns", len(row), len(columns))
		}
		for i, value := range row {
			want := map[projection.Type]any{projection.Text: "", projection.Integer: int64(0), projection.Boolean: false}[columns[i].Type]
			if reflect.TypeOf(value) != reflect.TypeOf(want) {
				t.Errorf("%s is %T, want %T", columns[i].Name, value, want)
			}
		}
	}
}

// The engine owns the rows that apply gets. An event that fails later in the batch
// must leave the rows unchanged.
func TestApplyLeavesRowsAlone(t *testing.T) {
	h := newHistory(t)
	h.created("1", "Alice")
	h.add("userRenamed", "1", `{"id":1,"name":"Bob"}`)
	m := &memory{rows: map[string]projection.Row{}}
	for _, e := range h.events {
		var before projection.Row
		for _, before = range m.rows {
		}
		text := fmt.Sprint(before)
		if err := m.apply(e); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(before); got != text {
			t.Errorf("%s changed the row it was given from %s to %s", e.Type, text, got)
		}
	}
}

// newerEvent is an event of a newer domain, unknown to this read model.
type newerEvent struct{ users.UserRenamed }

func (newerEvent) Type() string { return "userPainted" }

func TestUnknownEventCountsOnly(t *testing.T) {
	h := newHistory(t)
	h.created("1", "Alice")
	h.events = append(h.events, projection.Event{
		Record:      eventlog.Record{Type: "userPainted", Stream: "user/1", Version: 2, Time: time.Unix(0, 0)},
		AggregateID: "1",
		Data:        &newerEvent{},
	})
	m := &memory{rows: map[string]projection.Row{}}
	for _, e := range h.events {
		if err := m.apply(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range m.rows {
		want := projection.Row{"00000000000000001", "1", "Alice", int64(2), true, false, "2026-01-02T12:00:00.045Z", "1970-01-01T00:00:00.000Z", ""}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestEventBeforeCreation(t *testing.T) {
	h := newHistory(t)
	h.add("userRenamed", "1", `{"id":1,"name":"Bob"}`)
	m := &memory{rows: map[string]projection.Row{}}
	if err := m.apply(h.events[0]); err == nil || len(m.rows) > 0 {
		t.Errorf("error %v, rows %v: want an error and no row", err, m.rows)
	}
}

func TestModel(t *testing.T) {
	registry, err := aggregate.NewRegistry(users.Aggregate)
	if err := errors.Join(err, query.Check([]query.Model{Model}, registry)); err != nil || len(Model.OpenAPI) == 0 {
		t.Errorf("%v, and %d bytes of OpenAPI", err, len(Model.OpenAPI))
	}
}
