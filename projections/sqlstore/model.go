package sqlstore

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/millrace/millrace/projections"
)

// liveGeneration says which generation of its tables is meant when a read
// model is read and written. Nothing else does.
const liveGeneration = 1

// model is a read model in the database: its tables, and the statements that
// use them.
type model struct {
	name   string
	tables []*table
	byName map[string]*table // by the name in the definition
	heads  *table
	scope  scope

	move          string   // checkpoints
	checkpoints   string   // all of them
	begin         string   // makes one at 0
	updates       []string // all that updates use
	putCheckpoint string   // wherever it is
	// names puts the tables' real names into queries.
	names *strings.Replacer

	// isThere is set once the read model was found.
	isThere atomic.Bool
}

// projectionName has no underscore: a table's name begins with it and one.
var projectionName = regexp.MustCompile(`^[a-z][a-z0-9]*$`)

func newModel(d dialect, p *projections.Projection) (*model, error) {
	if !projectionName.MatchString(p.Name) {
		return nil, fmt.Errorf("projection %q: the name isn't lower-case letters and digits", p.Name)
	}
	generation := strconv.Itoa(liveGeneration)
	m := &model{
		name:   p.Name,
		byName: map[string]*table{},
		scope:  scope{{"projection", "'" + p.Name + "'"}, {"generation", generation}},
	}
	var names []string
	for _, def := range p.Tables {
		name := p.Name + "_" + def.Name + "_" + generation
		t, err := newTable(d, name, def)
		if err != nil {
			return nil, fmt.Errorf("projection %s: table %q: %w", p.Name, def.Name, err)
		}
		if m.byName[def.Name] != nil {
			return nil, fmt.Errorf("projection %s: table %s is there twice", p.Name, def.Name)
		}
		m.tables = append(m.tables, t)
		m.byName[def.Name] = t
		names = append(names, "{"+def.Name+"}", name)
		m.updates = append(m.updates, t.updates()...)
	}
	m.names = strings.NewReplacer(names...)
	m.heads = headsOf(d, m.scope)
	m.move = d.moveText(m)
	m.updates = append(append(m.updates, m.move), m.heads.updates()...)
	m.checkpoints = "SELECT partition, next_offset, digest FROM checkpoints WHERE " + and(m.scope.conditions()) + " ORDER BY partition"
	m.putCheckpoint = "UPDATE checkpoints SET next_offset = $2, digest = $3 WHERE " + and(m.scope.conditions()) + " AND partition = $1"
	m.begin = fmt.Sprintf("INSERT INTO checkpoints (%s, partition, next_offset, digest) VALUES (%s, $1, 0, $2) ON CONFLICT DO NOTHING",
		join(m.scope.columns()), join(m.scope.values()))
	return m, nil
}

func (m *model) table(name string) (*table, error) {
	if t := m.byName[name]; t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("projection %s has no table %q", m.name, name)
}
