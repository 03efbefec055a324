package scaffold

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	aggregateImport   = RouterModule + "/router/aggregate"
	queryImport       = RouterModule + "/router/query"
	reactionImport    = RouterModule + "/router/reaction"
	serviceImport     = RouterModule + "/router/service"
	servicetestImport = RouterModule + "/router/service/servicetest"
)

// module is the code of a team's service.
type module struct {
	root, path string
	files      []*file // Go, with tests
}

// file is a Go file of a module.
type file struct {
	path      string // with slashes, from the root
	text      []byte
	set       *token.FileSet
	tree      *ast.File
	formatted bool // as gofmt wants
}

// openModule reads the module that a folder is in.
func openModule(dir string) (*module, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		above := filepath.Dir(root)
		if above == root {
			return nil, errors.New("this folder is in no service: there is no go.mod here or above")
		}
		root = above
	}
	m := &module{root: root}
	if m.path, err = modulePath(root); err != nil {
		return nil, err
	}
	return m, filepath.WalkDir(root, m.visit)
}

// visit reads a Go file, and leaves out what is no code of the module.
func (m *module) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	base := entry.Name()
	if entry.IsDir() {
		if name == m.root {
			return nil
		}
		_, nested := os.Stat(filepath.Join(name, "go.mod"))
		if nested == nil || base == "testdata" || base == "vendor" || base == "node_modules" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
			return filepath.SkipDir
		}
		return nil
	}
	if !strings.HasSuffix(base, ".go") || !entry.Type().IsRegular() {
		return nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	relative, err := filepath.Rel(m.root, name)
	if err != nil {
		return err
	}
	f := &file{path: filepath.ToSlash(relative), text: text, set: token.NewFileSet()}
	if f.tree, err = parser.ParseFile(f.set, f.path, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
		return fmt.Errorf("mend this first: %w", err)
	}
	formatted, err := format.Source(text)
	f.formatted = err == nil && bytes.Equal(formatted, text)
	m.files = append(m.files, f)
	return nil
}

func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f *file) folder() string { return path.Dir(f.path) }

// source is the text of a node.
func (f *file) source(n ast.Node) string { return string(f.text[f.offset(n.Pos()):f.offset(n.End())]) }

func (f *file) offset(at token.Pos) int { return f.set.Position(at).Offset }

// importName is the name by which a file calls an imported package, "" if the
// file does not import the package.
func (f *file) importName(importPath string) string {
	for _, spec := range f.tree.Imports {
		if at, err := strconv.Unquote(spec.Path.Value); err != nil || at != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return path.Base(importPath)
	}
	return ""
}

// isOf says whether an expression is a name of an imported package, such as
// aggregate.Definition.
func (f *file) isOf(e ast.Expr, importPath, name string) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != name {
		return false
	}
	from, ok := selector.X.(*ast.Ident)
	return ok && from.Name == f.importName(importPath) && from.Name != ""
}

// literals are the composite literals of a file.
func (f *file) literals() (all []*ast.CompositeLit) {
	ast.Inspect(f.tree, func(n ast.Node) bool {
		if literal, ok := n.(*ast.CompositeLit); ok {
			all = append(all, literal)
		}
		return true
	})
	return all
}

// field is the value of a literal's field, nil if the literal does not have the
// field.
func field(literal *ast.CompositeLit, name string) ast.Expr {
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == name {
				return pair.Value
			}
		}
	}
	return nil
}

// text is the value of a string literal, "" for anything else.
func text(e ast.Expr) string {
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return ""
	}
	value, err := strconv.Unquote(literal.Value)
	if err != nil {
		return ""
	}
	return value
}

// serviceTests is the folder whose tests start the service.
func (m *module) serviceTests() (folder string, ok bool) {
	for _, f := range m.files {
		if name := f.importName(servicetestImport); f.isTest() && name != "" && f.tree.Name.Name == "main" && bytes.Contains(f.text, []byte(name+".Main(")) {
			return f.folder(), true
		}
	}
	return "", false
}

// addParts adds an aggregate and its read model to the service's lists.
func (m *module) addParts(c *changes, n Names) {
	m.editDomain(c, domainChange{
		imports: []string{m.path + "/handlers/" + n.Package, m.path + "/projections/" + n.List},
		byHand:  []string{n.Package + ".Aggregate, // in the list Aggregates", n.List + ".Model, // in the list Models"},
		edits: func(f *file, domain *domainLiteral) []edit {
			return []edit{f.listEdit(field(domain, "Aggregates"), n.Package+".Aggregate"), f.listEdit(field(domain, "Models"), n.List+".Model")}
		},
	})
}

// domainLiteral is the composite literal of the service.Domain.
type domainLiteral = ast.CompositeLit

// domainChange is a change of the service's parts.
type domainChange struct {
	imports []string                           // packages of the module
	edits   func(*file, *domainLiteral) []edit // beside the imports
	byHand  []string                           // the lines, if there is no place for the edits
}

// editDomain changes the one service.Domain of the module.
func (m *module) editDomain(c *changes, change domainChange) {
	byHand := ByHand{File: "the file with the service.Domain", Where: "in the service.Domain of the service"}
	var names []string
	for _, imported := range change.imports {
		names = append(names, path.Base(imported))
		byHand.Lines = append(byHand.Lines, strconv.Quote(imported)+" // among the imports")
	}
	byHand.Lines = append(byHand.Lines, change.byHand...)
	var domains []*file
	var literal *domainLiteral
	for _, f := range m.files {
		for _, l := range f.literals() {
			if !f.isTest() && f.isOf(l.Type, serviceImport, "Domain") {
				domains, literal = append(domains, f), l
			}
		}
	}
	if len(domains) != 1 {
		c.byHand = append(c.byHand, byHand)
		return
	}
	f := domains[0]
	byHand.File = f.path
	changed, err := f.edited(append(f.importEdits(m.path, change.imports...), change.edits(f, literal)...)...)
	if err != nil || slices.ContainsFunc(f.tree.Imports, func(s *ast.ImportSpec) bool { return slices.Contains(names, importedAs(s)) }) {
		c.byHand = append(c.byHand, byHand)
		return
	}
	c.change[f.path] = changed
}

// importedAs is the name of an import in its file.
func importedAs(s *ast.ImportSpec) string {
	if s.Name != nil {
		return s.Name.Name
	}
	return path.Base(text(s.Path))
}
