package projections

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

var (
	// nameForm has no underscore: a table's name in the database begins with the
	// read model's name and an underscore.
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	// snakeCase has no two underscores in a row: those join names.
	snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// MaxKey is how many columns a primary key can have. Nobody needs more.
const MaxKey = 8

// reservedModels are the names of the router's own read models.
var reservedModels = []string{"commands", "history"}

// Check says what is wrong with the read models of a service, without the
// router's own, in one line: which read model, and why.
func Check(models []Model, registry *aggregate.Registry) error {
	seen := map[string]bool{}
	for i, m := range models {
		if m.Projection == nil {
			return fmt.Errorf("read model %d of %d has no projection", i+1, len(models))
		}
		if err := m.check(registry); err != nil {
			return fmt.Errorf("read model %q: %w", m.Name, err)
		}
		if seen[m.Name] {
			return fmt.Errorf("read model %q is there twice", m.Name)
		}
		seen[m.Name] = true
	}
	return nil
}

func (m Model) check(registry *aggregate.Registry) error {
	if slices.Contains(reservedModels, m.Name) {
		return errors.New("the name is that of a read model of the router's own")
	}
	if err := m.CheckForm(); err != nil {
		return err
	}
	for _, name := range m.Of {
		if registry.Type(name) == nil {
			return fmt.Errorf("no aggregate %q is registered, and Of names it", name)
		}
	}
	switch {
	case len(m.Tables) == 0:
		return errors.New("there are no tables")
	case m.Apply == nil:
		return errors.New("there is no Apply")
	case m.Routes == nil:
		return errors.New("there are no Routes")
	}
	return nil
}

// CheckForm says what is wrong with the names and the tables of a projection.
func (p *Projection) CheckForm() error {
	if !nameForm.MatchString(p.Name) {
		return errors.New("the name must be a lower-case letter, then lower-case letters and digits")
	}
	seen := map[string]bool{}
	for i := range p.Tables {
		name := p.Tables[i].Name
		if err := p.Tables[i].checkForm(); err != nil {
			return fmt.Errorf("table %q: %w", name, err)
		}
		if seen[name] {
			return fmt.Errorf("table %q is there twice", name)
		}
		seen[name] = true
	}
	return nil
}

func (t *Table) checkForm() error {
	if !snakeCase.MatchString(t.Name) {
		return errors.New("the name isn't lower snake_case")
	}
	keys := 0
	var names []string
	for i, c := range t.Columns {
		switch {
		case !snakeCase.MatchString(c.Name):
			return fmt.Errorf("column %q: the name isn't lower snake_case", c.Name)
		case slices.Contains(names, c.Name):
			return fmt.Errorf("column %q is there twice", c.Name)
		case c.Type < Text || c.Type > Boolean:
			return fmt.Errorf("column %q: there is no type %d", c.Name, c.Type)
		case c.Key && i > keys:
			return fmt.Errorf("column %q: the columns of the key come first", c.Name)
		case c.Key:
			keys++
		}
		names = append(names, c.Name)
	}
	if keys == 0 {
		return errors.New("no column is a key")
	}
	if keys > MaxKey {
		return fmt.Errorf("%d columns are a key, and at most %d can be", keys, MaxKey)
	}
	for _, index := range t.Indexes {
		if len(index) == 0 {
			return errors.New("an index has no columns")
		}
		for _, column := range index {
			if !slices.Contains(names, column) {
				return fmt.Errorf("an index is over column %q, which isn't there", column)
			}
		}
	}
	return nil
}
