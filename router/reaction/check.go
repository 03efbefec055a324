package reaction

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// reservedNames are the names of the router's own reactions.
var reservedNames = []string{"unique"}

// MaxCommands is the largest number of commands that one record can cause.
const MaxCommands = 1000

// Check returns an error if reactions can't run beside these aggregates. The
// error is one line with the faulty reaction and the fault.
func Check(reactions []*Reaction, registry *aggregate.Registry) error {
	seen := map[string]bool{}
	for i, r := range reactions {
		if r == nil {
			return fmt.Errorf("Reactions[%d] is nil", i) //nolint:staticcheck // the name of the field
		}
		if seen[r.Name] {
			return fmt.Errorf("reaction %q is there twice", r.Name)
		}
		seen[r.Name] = true
		if err := r.check(registry); err != nil {
			return fmt.Errorf("reaction %q: %w", r.Name, err)
		}
	}
	return nil
}

// CheckName returns an error if no reaction can have a name.
func CheckName(name string) error {
	switch {
	case !nameForm.MatchString(name):
		return errors.New("the name must be a lower-case letter, then at most 31 lower-case letters, digits and hyphens")
	case slices.Contains(reservedNames, name):
		return errors.New("the name is the router's own")
	default:
		return nil
	}
}

func (r *Reaction) check(registry *aggregate.Registry) error {
	if err := CheckName(r.Name); err != nil {
		return err
	}
	if r.React == nil {
		return errors.New("React is nil") //nolint:staticcheck // the name of the field
	}
	for _, name := range r.Of {
		if registry.Type(name) == nil {
			return fmt.Errorf("Of names the aggregate %q, which isn't there", name) //nolint:staticcheck // the name of the field
		}
	}
	return nil
}
