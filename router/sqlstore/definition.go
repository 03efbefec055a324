package sqlstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// streamNames is the first line of every definition. A store of before v0.1.0,
// where streams had other names, has definitions without the line, or empty ones.
const streamNames = "streams named aggregate/id"

// isOld says whether a generation was made before v0.1.0.
func isOld(definition string) bool { return !strings.HasPrefix(definition, streamNames+"\n") }

// definitionOf says what rows a projection makes, for each generation to keep:
// how streams are named, its version, the aggregates it is of, and a line
// "table: column type, …" for each table. Whoever makes other rows has another
// one.
func definitionOf(p *projection.Projection) string {
	lines := []string{streamNames, fmt.Sprintf("version %d", p.Version)}
	if len(p.Of) > 0 {
		lines = append(lines, "of "+join(slices.Sorted(slices.Values(p.Of))))
	}
	for _, t := range p.Tables {
		var columns []string
		for _, c := range t.Columns {
			columns = append(columns, describe(c.Name, typeNames[c.Type], c.Key))
		}
		lines = append(lines, t.Name+": "+join(columns))
	}
	return strings.Join(lines, "\n")
}

var typeNames = map[projection.Type]string{
	projection.Text: "text", projection.Integer: "integer", projection.Boolean: "boolean",
}

// covers says whether whoever knows tables of one definition can read those of
// another: all of their columns are there.
func covers(definition, known string) bool {
	has := columnsOf(definition)
	for table, columns := range columnsOf(known) {
		for _, c := range columns {
			if !slices.Contains(has[table], c) {
				return false
			}
		}
	}
	return true
}

// columnsOf are a definition's columns, by table.
func columnsOf(definition string) map[string][]string {
	tables := map[string][]string{}
	for line := range strings.Lines(definition) {
		if table, columns, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			tables[table] = strings.Split(columns, ", ")
		}
	}
	return tables
}
