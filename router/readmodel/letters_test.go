package readmodel_test

import (
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/router/projection"
)

// letters is a read model with rows that all partitions share: for each letter,
// the number of orders whose name begins with the letter.
func letters(mended *atomic.Bool) *projection.Projection {
	of := names(mended)
	return &projection.Projection{
		Name: "letters",
		Tables: []projection.Table{of.Tables[0], {Name: "letters", Columns: []projection.Column{
			{Name: "letter", Type: projection.Text, Key: true},
			{Name: "orders", Type: projection.Integer},
			{Name: "vowel", Type: projection.Boolean},
		}}},
		Keys: func(e projection.Event) []projection.RowKey {
			keys := of.Keys(e)
			for letter := 'a'; letter <= 'z'; letter++ {
				keys = append(keys, projection.RowKey{Table: "letters", Key: projection.Row{string(letter)}})
			}
			return keys
		},
		Apply: func(rows projection.Rows, e projection.Event) error {
			count := func(by int64) {
				row := rows.Get("names", e.AggregateID)
				if row == nil {
					return
				}
				letter := row.Text(1)[:1]
				counted := rows.Get("letters", letter)
				if counted == nil {
					counted = projection.Row{letter, int64(0), strings.ContainsAny(letter, "aeiou")}
				}
				n := counted.Integer(1) + by
				if counted[1] = n; n == 0 {
					rows.Delete("letters", letter)
					return
				}
				rows.Put("letters", counted)
			}
			count(-1)
			err := of.Apply(rows, e)
			count(1)
			return err
		},
	}
}
