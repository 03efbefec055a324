package projection

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
)

var (
	// nameForm allows no underscore: a table's name in the database begins with
	// the read model's name and an underscore.
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9]*$`)
	// snakeCase allows no two underscores in a row: two underscores join names.
	snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// MaxKey is the largest number of columns in a primary key.
const MaxKey = 8

// CheckForm returns an error if a name or a table of the projection is
// malformed.
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
