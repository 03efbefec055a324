package query

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
)

// reservedModels are the names of the router's own read models.
var reservedModels = []string{"commands", "history"}

// Check says what is wrong with the read models of a service, in one line with
// the read model and the reason. The router's own read models are not among
// models.
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
