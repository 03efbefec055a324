package sqlstore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// streamNames is the first line of every definition. Stores from before v0.1.0
// named streams otherwise, and have definitions without this line.
const streamNames = "streams named aggregate/id"

// isOld says whether a generation was created before v0.1.0.
func isOld(definition string) bool { return !strings.HasPrefix(definition, streamNames+"\n") }

// definitionOf describes the rows that a projection makes: the form of stream
// names, the projection's version, its aggregates, and a line "table: column
// type, …" for each table. Each generation keeps its definition. Different rows
// have different definitions.
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

// covers says whether a binary with the definition known can read tables of
// another definition: all known columns are there.
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

// columnsOf returns a definition's columns, by table.
func columnsOf(definition string) map[string][]string {
	tables := map[string][]string{}
	for line := range strings.Lines(definition) {
		if table, columns, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			tables[table] = strings.Split(columns, ", ")
		}
	}
	return tables
}
