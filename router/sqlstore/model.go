package sqlstore

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/router/projection"
)

// model is a generation of a read model in the database: tables and statements.
type model struct {
	name       string
	physical   string // the name with the generation
	generation int
	tables     []*table
	byName     map[string]*table // by the name in the definition
	heads      *table
	scope      scope

	move          string   // moves checkpoints of the live generation
	moveAtOnce    string   // is move in a shared transaction of PostgreSQL
	fill          string   // moves checkpoints of a generation that is not live
	checkpoints   string   // reads all checkpoints
	holds         string   // reads how often the generation was held
	begin         string   // creates a checkpoint at 0, live or not
	updates       []string // all statements of updates
	putCheckpoint string   // sets a checkpoint without a condition
	// names replaces {table} in queries by the table's name in the database.
	names *strings.Replacer

	// mine is the definition of this binary's projection. kept is the
	// definition of the generation, once known; a generation's definition never
	// changes.
	mine string
	kept atomic.Pointer[string]
}

func newModel(d dialect, p *projection.Projection, number int) (*model, error) {
	if err := p.CheckForm(); err != nil {
		return nil, fmt.Errorf("projection %q: %w", p.Name, err)
	}
	generation := strconv.Itoa(number)
	m := &model{
		name:       p.Name,
		physical:   p.Name + "_" + generation,
		generation: number,
		mine:       definitionOf(p),
		byName:     map[string]*table{},
		scope:      scope{{"projection", "'" + p.Name + "'"}, {"generation", generation}},
	}
	var names []string
	for _, def := range p.Tables {
		name := p.Name + "_" + def.Name + "_" + generation
		t, err := newTable(d, name, def)
		if err != nil {
			return nil, fmt.Errorf("projection %s: table %q: %w", p.Name, def.Name, err)
		}
		m.tables = append(m.tables, t)
		m.byName[def.Name] = t
		names = append(names, "{"+def.Name+"}", name)
		m.updates = append(m.updates, t.updates()...)
	}
	m.names = strings.NewReplacer(names...)
	m.heads = headsOf(d, m.scope)
	m.move = d.moveText(m, "live")
	m.moveAtOnce = d.moveAtOnceText(m, "live")
	m.fill = d.moveText(m, "NOT live")
	m.updates = append(append(m.updates, m.move, m.fill, savepoint, rollbackToSavepoint), m.heads.updates()...)
	m.checkpoints = checkpointsWhere(d, p.Name, and(m.scope.conditions()))
	m.holds = "SELECT holds FROM generations WHERE " + and(m.scope.conditions())
	m.putCheckpoint = "UPDATE checkpoints SET next_offset = $2, digest = $3 WHERE " + and(m.scope.conditions()) + " AND partition = $1"
	m.begin = fmt.Sprintf("INSERT INTO checkpoints (%s, partition, next_offset, digest, live) VALUES (%s, $1, 0, $2, $3)",
		join(m.scope.columns()), join(m.scope.values()))
	return m, nil
}

// checkpointsWhere is a query for a read model's checkpoints, by partition. The
// first checkpoint says whether any stream of the generation is parked.
func checkpointsWhere(d dialect, projection, condition string) string {
	return "SELECT generation, partition, next_offset, digest," +
		" CASE WHEN partition = 0 THEN EXISTS (SELECT 1 FROM heads " + d.byIndex("heads_parked") +
		" WHERE projection = '" + projection + "' AND generation = checkpoints.generation AND parked <> '') ELSE FALSE END" +
		" FROM checkpoints WHERE " + condition + " ORDER BY generation, partition" // the order of the primary key
}

func (m *model) table(name string) (*table, error) {
	if t := m.byName[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("projection %s has no table %q", m.name, name)
}
