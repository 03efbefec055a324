package decider

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
)

// typedCommand is a command of any type.
type typedCommand struct {
	As string `json:"as"`
}

func (c typedCommand) Type() string                                         { return c.As }
func (typedCommand) AggregateID() string                                    { return "" }
func (typedCommand) Decide(users.User) (aggregate.Event[users.User], error) { return nil, nil }

// No aggregate can have a command, an event or a refusal with a name that the
// router has: the registry reserves all these names.
func TestRegistryReservesTheRoutersNames(t *testing.T) {
	try := func(what, name string, change func(d *aggregate.Definition[users.User])) {
		d := users.Definition
		change(&d)
		if _, err := aggregate.NewRegistry(aggregate.Of(d)); err == nil || !strings.HasSuffix(err.Error(), "is the router's own") {
			t.Errorf("%s %q: got %v, want an error that says that the name is the router's own", what, name, err)
		}
	}
	for _, name := range machineTypes {
		try("command", name, func(d *aggregate.Definition[users.User]) {
			d.Commands = append(slices.Clone(d.Commands), func() aggregate.Command[users.User] { return &typedCommand{name} })
		})
	}
	recordTypes := valuesIn(t, "../eventlog", func(n ast.Node) ast.Expr {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 && strings.HasPrefix(spec.Names[0].Name, "Type") {
			return spec.Values[0]
		}
		return nil
	})
	for _, name := range recordTypes {
		try("record type", name, func(d *aggregate.Definition[users.User]) {
			to := d.Events[0]().Type()
			d.Upcasts = []aggregate.Upcast{{From: name, To: to, Body: func(old []byte) ([]byte, error) { return old, nil }}}
		})
	}
	slugs := valuesIn(t, "..", func(n ast.Node) ast.Expr {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Slug" {
				return n.Value
			}
		case *ast.AssignStmt:
			if field, ok := n.Lhs[0].(*ast.SelectorExpr); ok && field.Sel.Name == "Slug" {
				return n.Rhs[0]
			}
		}
		return nil
	})
	for _, refusal := range Refusals() {
		slugs = append(slugs, refusal.Slug)
	}
	for _, name := range slugs {
		try("refusal", name, func(d *aggregate.Definition[users.User]) {
			d.Refusals = append(slices.Clone(d.Refusals), &aggregate.Refusal{Slug: name, Detail: "-"})
		})
	}
	if len(recordTypes) < 6 || len(slugs) < 15 {
		t.Errorf("found only %d record types and %d slugs", len(recordTypes), len(slugs))
	}
}

// valuesIn returns the strings that find finds in a folder's sources, tests
// aside.
func valuesIn(t *testing.T, folder string, find func(ast.Node) ast.Expr) (values []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "projectiontest" || entry.Name() == "aggregatetest"):
			return fs.SkipDir // aggregates of tests
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := find(n).(*ast.BasicLit)
			if !ok {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values = append(values, text)
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return values
}
