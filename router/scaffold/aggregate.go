package scaffold

import (
	"fmt"
	"path"
)

// NewAggregate writes an aggregate, and a read model of the aggregate, into the
// service that the folder is in, and adds both to the lists of the service.
func NewAggregate(dir string, n Names) (Written, error) {
	m, err := openModule(dir)
	if err != nil {
		return Written{}, err
	}
	for _, d := range m.definitions() {
		switch {
		case d.name == n.Name:
			return Written{}, fmt.Errorf("there is an aggregate %q already, in %s", n.Name, d.file.path)
		case d.plural == n.Plural:
			return Written{}, fmt.Errorf("%q is the plural of aggregate %q already, in %s; give another --plural", n.Plural, d.name, d.file.path)
		}
	}
	c := newChanges(m.root)
	data := newService{Names: n, Module: m.path}
	if err := c.addAggregate(n, data); err != nil {
		return Written{}, err
	}
	if tests, ok := m.serviceTests(); ok {
		if err := c.renderAll(data, map[string]string{path.Join(tests, n.Package+"_test.go"): "service_test.go"}); err != nil {
			return Written{}, err
		}
	}
	m.addParts(c, n)
	return c.write()
}

// addAggregate adds the files of an aggregate and of its read model.
func (c *changes) addAggregate(n Names, data newService) error {
	handlers, projections := "handlers/"+n.Package+"/", "projections/"+n.List+"/"
	return c.renderAll(data, map[string]string{
		handlers + n.Package + ".go":          "aggregate.go",
		handlers + n.Package + "_test.go":     "aggregate_test.go",
		handlers + n.createFile + ".go":       "create.go",
		handlers + n.createFile + "_test.go":  "create_test.go",
		handlers + n.renameFile + ".go":       "rename.go",
		handlers + n.renameFile + "_test.go":  "rename_test.go",
		handlers + "id.go":                    "id.go",
		handlers + "text.go":                  "text.go",
		handlers + "testdata/events.golden":   "events.golden",
		handlers + "testdata/commands.golden": "commands.golden",
		projections + "projection.go":         "projection.go",
		projections + "queries.go":            "queries.go",
		projections + "openapi.yaml":          "openapi.yaml",
		projections + n.List + "_test.go":     "projection_test.go",
	})
}
