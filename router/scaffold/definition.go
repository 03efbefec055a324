package scaffold

import (
	"fmt"
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
)

// definition is an aggregate of a team's service, as its code has the aggregate.
type definition struct {
	name, plural string
	state        string // the type of the state, in Go
	variable     string // of the type of the aggregate: Aggregate
	file         *file  // with the literal
	literal      *ast.CompositeLit
	files        []*file // of the package, with tests
}

// definitions are the aggregates of a module.
func (m *module) definitions() (all []definition) {
	for _, f := range m.files {
		if f.isTest() {
			continue
		}
		for _, literal := range f.literals() {
			generic, ok := literal.Type.(*ast.IndexExpr)
			if !ok || !f.isOf(generic.X, aggregateImport, "Definition") {
				continue
			}
			d := definition{
				name: text(field(literal, "Name")), plural: text(field(literal, "Plural")),
				state: f.source(generic.Index), file: f, literal: literal,
			}
			for _, other := range m.files {
				if other.folder() == f.folder() {
					d.files = append(d.files, other)
				}
			}
			d.variable = d.variableOf()
			all = append(all, d)
		}
	}
	return all
}

// definition is the aggregate with a name or a plural.
func (m *module) definition(name string) (definition, error) {
	all := m.definitions()
	var names []string
	for _, d := range all {
		if words, err := wordsOf(name); d.name != "" && (name == d.name || name == d.plural || err == nil && strings.Join(words, "-") == d.name) {
			return d, nil
		}
		if d.name != "" {
			names = append(names, d.name)
		}
	}
	if len(names) == 0 {
		return definition{}, fmt.Errorf("there is no aggregate in %s: no aggregate.Definition with a name", m.path)
	}
	return definition{}, fmt.Errorf("there is no aggregate %q in %s; its aggregates are %s", name, m.path, strings.Join(names, ", "))
}

// variableOf is the variable that is set to aggregate.Of.
func (d definition) variableOf() string {
	for _, f := range d.files {
		for _, declaration := range f.tree.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || f.isTest() {
				continue
			}
			for _, spec := range group.Specs {
				values, ok := spec.(*ast.ValueSpec)
				if !ok || len(values.Names) != 1 || len(values.Values) != 1 {
					continue
				}
				if call, ok := values.Values[0].(*ast.CallExpr); ok && f.isOf(call.Fun, aggregateImport, "Of") {
					return values.Names[0].Name
				}
			}
		}
	}
	return "Aggregate"
}

// function is a function or a method of the package, with its file. The type of
// a function's receiver is "".
func (d definition) function(receiver, name string) (*file, *ast.FuncDecl) {
	for _, f := range d.files {
		for _, declaration := range f.tree.Decls {
			if fn, ok := declaration.(*ast.FuncDecl); ok && fn.Name.Name == name && receiverOf(fn) == receiver {
				return f, fn
			}
		}
	}
	return nil, nil
}

func receiverOf(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	of := fn.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// declares says whether the package declares a name outside of functions.
func (d definition) declares(name string) bool {
	for _, f := range d.files {
		for _, declaration := range f.tree.Decls {
			switch declaration := declaration.(type) {
			case *ast.FuncDecl:
				if declaration.Recv == nil && declaration.Name.Name == name {
					return true
				}
			case *ast.GenDecl:
				for _, spec := range declaration.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if spec.Name.Name == name {
							return true
						}
					case *ast.ValueSpec:
						if slices.ContainsFunc(spec.Names, func(i *ast.Ident) bool { return i.Name == name }) {
							return true
						}
					}
				}
			}
		}
	}
	return false
}

// idForm is how commands of an aggregate hold the id.
type idForm struct {
	name, field string   // ID, and ID ID `json:"id"`
	value       string   // of AggregateID, with the receiver x: string(x.ID)
	member      string   // in JSON: id
	imports     []string // that both need
}

// plainID is the id of a command without a form of its own.
var plainID = idForm{name: "ID", field: "ID string `json:\"id\"`", value: "x.ID", member: "id"}

// id is the form of the id in the first command of the definition.
func (d definition) id() idForm {
	commands, ok := field(d.literal, "Commands").(*ast.CompositeLit)
	if !ok || len(commands.Elts) == 0 {
		return plainID
	}
	name := madeBy(commands.Elts[0])
	if name == nil {
		return plainID
	}
	return d.idOf(name.Name)
}

// idOf is the form of the id in a message.
func (d definition) idOf(goType string) idForm {
	f, method := d.function(goType, "AggregateID")
	if method == nil || method.Body == nil || len(method.Body.List) != 1 || len(method.Recv.List[0].Names) != 1 {
		return plainID
	}
	result, ok := method.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(result.Results) != 1 {
		return plainID
	}
	_, form := d.structType(goType)
	return f.idForm(method.Recv.List[0].Names[0].Name, result.Results[0], form)
}

// structType is a struct of the package, with its file.
func (d definition) structType(name string) (*file, *ast.StructType) {
	for _, f := range d.files {
		for _, declaration := range f.tree.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range group.Specs {
				if named, ok := spec.(*ast.TypeSpec); ok && named.Name.Name == name {
					form, _ := named.Type.(*ast.StructType)
					return f, form
				}
			}
		}
	}
	return nil, nil
}

// madeBy is the name of the type in new(T) or &T{}.
func madeBy(e ast.Expr) (name *ast.Ident) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if fn, ok := n.Fun.(*ast.Ident); ok && fn.Name == "new" && len(n.Args) == 1 {
				name, _ = n.Args[0].(*ast.Ident)
			}
		case *ast.UnaryExpr:
			if literal, ok := n.X.(*ast.CompositeLit); ok {
				name, _ = literal.Type.(*ast.Ident)
			}
		}
		return name == nil
	})
	return name
}

// idForm reads the form of an id from the result of AggregateID and the fields of
// the command. A command whose file declares both is the usual case.
func (f *file) idForm(receiver string, result ast.Expr, form *ast.StructType) idForm {
	if form == nil || form.Pos() < f.tree.FileStart || f.tree.FileEnd < form.End() {
		return plainID
	}
	id := idForm{value: f.source(result)}
	imports := map[string]bool{}
	uses := func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if from, ok := selector.X.(*ast.Ident); ok {
				if from.Name == receiver {
					id.name = selector.Sel.Name
				}
				for _, spec := range f.tree.Imports {
					if importedAs(spec) == from.Name {
						imports[f.source(spec)] = true
					}
				}
			}
		}
		return true
	}
	ast.Inspect(result, uses)
	if id.name == "" || strings.Count(id.value, receiver+"."+id.name) != 1 {
		return plainID
	}
	id.value = strings.Replace(id.value, receiver+"."+id.name, "x."+id.name, 1)
	for _, member := range form.Fields.List {
		if len(member.Names) != 1 || member.Names[0].Name != id.name || member.Tag == nil {
			continue
		}
		ast.Inspect(member.Type, uses)
		id.field = id.name + " " + f.source(member.Type) + " " + member.Tag.Value
		id.member, _, _ = strings.Cut(jsonTag(member.Tag.Value), ",")
	}
	if id.field == "" || id.member == "" {
		return plainID
	}
	id.imports = slices.Sorted(maps.Keys(imports))
	return id
}

// importPath is the path of the aggregate's package.
func (d definition) importPath(m *module) string { return path.Join(m.path, d.file.folder()) }
