package scaffold

import (
	"errors"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// edit is a text to insert into a file. An edit without a place has an offset
// below 0.
type edit struct {
	offset int
	text   string
}

var errNoPlace = errors.New("there is no place for a line")

// edited is the text of the file with the edits. All other text stays, and gofmt
// formats a file that was formatted before.
func (f *file) edited(edits ...edit) (string, error) {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.offset - b.offset })
	var changed strings.Builder
	from := 0
	for _, e := range edits {
		if e.offset < 0 {
			return "", errNoPlace
		}
		changed.Write(f.text[from:e.offset])
		changed.WriteString(e.text)
		from = e.offset
	}
	changed.Write(f.text[from:])
	if !f.formatted {
		_, err := parser.ParseFile(token.NewFileSet(), f.path, changed.String(), parser.SkipObjectResolution)
		return changed.String(), err
	}
	formatted, err := format.Source([]byte(changed.String()))
	return string(formatted), err
}

// listEdit adds an element at the end of a list such as []T{a, b}.
func (f *file) listEdit(list ast.Expr, element string) edit {
	literal, ok := list.(*ast.CompositeLit)
	if !ok {
		return edit{offset: -1}
	}
	end := f.offset(literal.Rbrace)
	line := end
	for line > 0 && (f.text[line-1] == ' ' || f.text[line-1] == '\t') {
		line--
	}
	switch {
	case line > 0 && f.text[line-1] == '\n' && line > f.offset(literal.Lbrace): // the brace begins a line
		return edit{line, string(f.text[line:end]) + "\t" + element + ",\n"}
	case len(literal.Elts) == 0:
		return edit{end, element}
	default:
		return edit{f.offset(literal.Elts[len(literal.Elts)-1].End()), ", " + element}
	}
}

// fieldEdit adds a field at the end of a literal such as T{A: a, B: b}.
func (f *file) fieldEdit(literal *ast.CompositeLit, name, value string) edit {
	for _, element := range literal.Elts {
		if _, ok := element.(*ast.KeyValueExpr); !ok {
			return edit{offset: -1}
		}
	}
	return f.listEdit(literal, name+": "+value)
}

// importEdits add imports behind the last import of the same module, or behind
// all imports.
func (f *file) importEdits(module string, imports ...string) []edit {
	var last *ast.ImportSpec
	for _, spec := range f.tree.Imports {
		if last == nil || strings.HasPrefix(text(spec.Path), module+"/") || !strings.HasPrefix(text(last.Path), module+"/") {
			last = spec
		}
	}
	if last == nil {
		return []edit{{offset: -1}}
	}
	grouped := false
	for _, declaration := range f.tree.Decls {
		if group, ok := declaration.(*ast.GenDecl); ok && group.Lparen.IsValid() && group.Pos() <= last.Pos() && last.Pos() < group.End() {
			grouped = true
		}
	}
	// Behind a comment on the line of the import.
	at := f.offset(last.End())
	for at < len(f.text) && f.text[at] != '\n' {
		at++
	}
	var lines strings.Builder
	for _, path := range imports {
		if grouped {
			lines.WriteString("\n\t" + strconv.Quote(path))
		} else {
			lines.WriteString("\nimport " + strconv.Quote(path))
		}
	}
	return []edit{{at, lines.String()}}
}
