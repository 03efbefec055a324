package sortedrows_test

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel/sortedrows"
)

var table = &projection.Table{Name: "things", Columns: []projection.Column{
	{Name: "name", Type: projection.Text, Key: true},
	{Name: "number", Type: projection.Integer, Key: true},
	{Name: "even", Type: projection.Boolean, Key: true},
	{Name: "text", Type: projection.Text},
	{Name: "count", Type: projection.Integer},
	{Name: "yes", Type: projection.Boolean},
}}

var (
	texts   = []string{"", "a", "aa", "a\x01", "ab", "é", "b", strings.Repeat("long", 100)}
	numbers = []int64{math.MinInt64, -256, -1, 0, 1, 255, 256, math.MaxInt64}
)

func luckyRow(luck *rand.Rand) projection.Row {
	text := func() string { return texts[luck.IntN(len(texts))] }
	number := func() int64 { return numbers[luck.IntN(len(numbers))] }
	return projection.Row{"k" + text(), number(), luck.IntN(2) == 0, text(), number(), luck.IntN(2) == 0}
}

func compare(a, b projection.Row) int {
	truth := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	return cmp.Or(strings.Compare(a.Text(0), b.Text(0)), cmp.Compare(a.Integer(1), b.Integer(1)),
		cmp.Compare(truth(a.Boolean(2)), truth(b.Boolean(2))))
}

// The rows come in the order of their keys, once each, with their last values.
func TestTheLastChangeOfEachRowInOrder(t *testing.T) {
	luck := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		r, want := sortedrows.New(table), map[string]projection.Row{}
		for range luck.IntN(500) {
			row, committed := luckyRow(luck), luck.IntN(5) > 0
			name := fmt.Sprint(row[:3]...) + fmt.Sprintf("%q", row[0])
			after := row
			if luck.IntN(4) == 0 {
				r.Delete(row[:3])
				after = row[:3]
			} else {
				r.Put(row)
			}
			if committed {
				r.Commit()
				want[name] = after
			} else {
				r.Rollback()
			}
			if luck.IntN(100) == 0 {
				r.Sort() // and more changes
			}
		}
		var gotPut, gotRemoved, wantPut, wantRemoved []projection.Row
		for _, row := range want {
			if len(row) == 3 {
				wantRemoved = append(wantRemoved, row)
			} else {
				wantPut = append(wantPut, row)
			}
		}
		slices.SortFunc(wantPut, compare)
		slices.SortFunc(wantRemoved, compare)
		for again := range 2 { // a failed transaction is repeated
			gotPut, gotRemoved = nil, nil
			most := 1 + luck.IntN(70)
			err := r.Each(most, func(put, remove []projection.Row) error {
				if n := len(put) + len(remove); n == 0 || n > most {
					t.Errorf("%d rows at a time", n)
				}
				for _, row := range put {
					gotPut = append(gotPut, slices.Clone(row))
				}
				gotRemoved = append(gotRemoved, remove...)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := gocmp.Diff(wantPut, gotPut); diff != "" {
				t.Fatalf("round %d.%d: put (-want +got):\n%s", round, again, diff)
			}
			if diff := gocmp.Diff(wantRemoved, gotRemoved); diff != "" {
				t.Fatalf("round %d.%d: removed (-want +got):\n%s", round, again, diff)
			}
		}
	}
}

// More rows than a text holds, and a row that is larger than a text.
func TestManyLargeRows(t *testing.T) {
	r := sortedrows.New(table)
	body := func(i int) string { return strings.Repeat(string(rune('a'+i%26)), 1000+i%7) }
	for i := range 5000 {
		r.Put(projection.Row{fmt.Sprintf("%05d", i*7919%5000), int64(0), true, body(i * 7919 % 5000), int64(i), false})
		r.Commit()
	}
	r.Put(projection.Row{"huge", int64(0), true, strings.Repeat("x", 3<<20), int64(0), false})
	r.Commit()
	n := 0
	err := r.Each(64, func(put, _ []projection.Row) error {
		for _, row := range put {
			if n < 5000 && (row.Text(0) != fmt.Sprintf("%05d", n) || row.Text(3) != body(n)) {
				t.Fatalf("row %d is %v", n, row[:3])
			}
			if n == 5000 && len(row.Text(3)) != 3<<20 {
				t.Fatalf("the huge row has %d bytes", len(row.Text(3)))
			}
			n++
		}
		return nil
	})
	if err != nil || n != 5001 {
		t.Fatalf("%d rows, %v", n, err)
	}
	if size := r.Size(); size < 8_000_000 || size > 9_000_000 {
		t.Errorf("%d bytes", size)
	}
}
