package sqlstore

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// lastGeneration is the highest number of a generation whose tables surely have
// names that fit.
const lastGeneration = 99_999

// CheckNames says which name of a read model's tables is too long for a
// database. The names of tables and indexes in the database are made of the
// names of the read model, the table and the columns, and of the number of the
// generation. PostgreSQL cuts names off at 63 bytes.
func CheckNames(p *projection.Projection) error {
	for _, def := range p.Tables {
		tooLong := func(what, name string) error {
			return fmt.Errorf("table %q: %s would have a name of %d characters in the database, and at most %d are possible: %s",
				def.Name, what, len(name), maxName, name)
		}
		t := &table{name: p.Name + "_" + def.Name + "_" + strconv.Itoa(lastGeneration)}
		if len(t.name) > maxName {
			return tooLong("the table", t.name)
		}
		for _, c := range def.Columns {
			if len(c.Name) > maxName {
				return tooLong("a column", c.Name)
			}
		}
		for _, index := range def.Indexes {
			if name := t.indexName(index); len(name) > maxName {
				return tooLong("the index over "+strings.Join(index, ", "), name)
			}
		}
	}
	return nil
}
