package sqlstore

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
)

func TestDefinitionsThatAreRefused(t *testing.T) {
	long := strings.Repeat("x", 50)
	tests := map[string]struct {
		change func(*projection.Projection)
		says   string
	}{
		"name":                {func(p *projection.Projection) { p.Name = "all_people" }, `"all_people"`},
		"table's name":        {func(p *projection.Projection) { p.Tables[0].Name = "Person" }, `"Person"`},
		"joined name":         {func(p *projection.Projection) { p.Tables[0].Name = "per__son" }, `"per__son"`},
		"SQL for a name":      {func(p *projection.Projection) { p.Tables[0].Name = "a;b" }, `"a;b"`},
		"long name":           {func(p *projection.Projection) { p.Tables[0].Name = long + long }, "too long"},
		"table twice":         {func(p *projection.Projection) { p.Tables[1].Name = "person" }, "twice"},
		"column's name":       {func(p *projection.Projection) { p.Tables[0].Columns[0].Name = `i"d` }, "snake_case"},
		"column twice":        {func(p *projection.Projection) { p.Tables[0].Columns[1].Name = "id" }, "twice"},
		"type":                {func(p *projection.Projection) { p.Tables[0].Columns[1].Type = 7 }, "type 7"},
		"digest":              {func(p *projection.Projection) { p.Tables[0].Columns[1].Type = digestType }, "type -1"},
		"no key":              {func(p *projection.Projection) { p.Tables[0].Columns[0].Key = false }, "key"},
		"key not first":       {func(p *projection.Projection) { p.Tables[0].Columns[2].Key = true }, "first"},
		"no columns":          {func(p *projection.Projection) { p.Tables[0].Columns = nil }, "key"},
		"index on nothing":    {func(p *projection.Projection) { p.Tables[0].Indexes[0] = nil }, "no columns"},
		"index on a stranger": {func(p *projection.Projection) { p.Tables[0].Indexes[0] = []string{"nobody"} }, `"nobody"`},
		"index's long name": {func(p *projection.Projection) {
			p.Tables[0].Columns[1].Name = long
			p.Tables[0].Indexes[0] = []string{long}
		}, "too long"},
	}
	store, err := OpenMemory(t.Context())
	opened(t, store, err)
	for name, test := range tests {
		p := people()
		test.change(p)
		err := store.Prepare(t.Context(), p, 4)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: no %q in %v", name, test.says, err)
		}
	}
}

// Two keys with the same joined text, and two keys of different types.
func TestTheLastOfEachKeyCounts(t *testing.T) {
	rows := []projection.Row{{"a", "bc", int64(1)}, {"ab", "c", int64(2)}, {"a", "bc", int64(3)}, {int64(1), "x", int64(4)}, {"1", "x", int64(5)}}
	var got []any
	for _, row := range lastOfEach(2, rows) {
		got = append(got, row[2])
	}
	if diff := cmp.Diff([]any{int64(3), int64(2), int64(4), int64(5)}, got); diff != "" {
		t.Error(diff)
	}
}

// The parked heads are found among all heads by their index: SQLite would read all
// heads.
func TestParkedHeadsAreFoundByTheirIndex(t *testing.T) {
	store, err := OpenMemory(t.Context())
	opened(t, store, err)
	if err := store.Prepare(t.Context(), people(), 4); err != nil {
		t.Fatal(err)
	}
	m, err := newModel(store.dialect, people(), 1)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := store.read.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+m.heads.allParked)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var plan []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, step)
	}
	if len(plan) != 1 || !strings.Contains(plan[0], "USING INDEX heads_parked (projection=? AND generation=?)") {
		t.Errorf("the plan is %q", plan)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}
