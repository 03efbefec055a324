package sqlstore

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/router/projection"
)

func TestCheckNames(t *testing.T) {
	t.Parallel()
	of := func(model, table, column string, index ...string) *projection.Projection {
		def := projection.Table{Name: table, Columns: []projection.Column{{Name: column, Key: true}}}
		if len(index) > 0 {
			def.Indexes = [][]string{index}
		}
		return &projection.Projection{Name: model, Tables: []projection.Table{def}}
	}
	letters := func(n int) string { return strings.Repeat("a", n) }
	for _, test := range []struct {
		name  string
		of    *projection.Projection
		wrong string
	}{
		{"short", of("orders", "lines", "id", "id"), ""},
		{"just short enough", of("orders", letters(50), letters(63)), ""},
		{"table", of("orders", letters(51), "id"), `": the table would have a name of 64 characters in the database, and at most 63 are possible: orders_aaa`},
		{"read model", of(letters(80), "lines", "id"), `table "lines": the table would have a name of 92 characters`},
		{"column", of("orders", "lines", letters(64)), `table "lines": a column would have a name of 64 characters`},
		{"index", of("orders", "lines", "id", letters(20), letters(25)), `: the index over aaaaaaaaaaaaaaaaaaaa, aaaaaaaaaaaaaaaaaaaaaaaaa would have a name of 67 characters`},
	} {
		err := CheckNames(test.of)
		if test.wrong == "" && err != nil || test.wrong != "" && (err == nil || !strings.Contains(err.Error(), test.wrong)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.wrong)
		}
	}
}
