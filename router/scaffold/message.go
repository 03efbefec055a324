package scaffold

import (
	"encoding/json"
	"errors"
	"go/ast"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// message is a command or an event of a team's service, as its code has the
// message.
type message struct {
	of      definition
	goType  string // OrderPlaced
	wire    string // orderPlaced
	first   bool   // in the list of the definition
	file    *file  // with the struct
	members []member
	id      idForm
}

// member is an exported field of a message.
type member struct {
	name string
	kind string // the type in Go
	json string // the name in JSON
}

// messages are the messages in a list of all definitions, such as Commands.
func (m *module) messages(list string) (all []message) {
	for _, d := range m.definitions() {
		literal, ok := field(d.literal, list).(*ast.CompositeLit)
		if !ok || d.name == "" {
			continue
		}
		for i, element := range literal.Elts {
			name := madeBy(element)
			if name == nil {
				continue
			}
			one := message{of: d, goType: name.Name, wire: d.wireName(name.Name), first: list == "Commands" && i == 0, id: d.idOf(name.Name)}
			if f, form := d.structType(name.Name); form != nil && one.wire != "" {
				one.file, one.members = f, f.members(form)
				all = append(all, one)
			}
		}
	}
	return all
}

// wireName is the text that method Type returns, "" for a method of another form.
func (d definition) wireName(goType string) string {
	_, method := d.function(goType, "Type")
	if method == nil || method.Body == nil || len(method.Body.List) != 1 {
		return ""
	}
	result, ok := method.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(result.Results) != 1 {
		return ""
	}
	return text(result.Results[0])
}

// members are the exported fields of a struct.
func (f *file) members(form *ast.StructType) (all []member) {
	for _, of := range form.Fields.List {
		tag := ""
		if of.Tag != nil {
			tag, _, _ = strings.Cut(jsonTag(of.Tag.Value), ",")
		}
		for _, name := range of.Names {
			if name.IsExported() && tag != "-" {
				all = append(all, member{name.Name, f.source(of.Type), tag})
			}
		}
	}
	return all
}

// pkg is the name of the aggregate's package.
func (d definition) pkg() string { return d.file.tree.Name.Name }

// qualified is the message's type, outside of its package.
func (m message) qualified() string { return m.of.pkg() + "." + m.goType }

var builtin = []string{"string", "bool", "int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}

// underlying is the built-in type below a type of the package, "" for any other
// type.
func (d definition) underlying(kind string) string {
	if slices.Contains(builtin, kind) {
		return kind
	}
	for _, f := range d.files {
		for _, declaration := range f.tree.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range group.Specs {
				if named, ok := spec.(*ast.TypeSpec); ok && named.Name.Name == kind {
					if below := f.source(named.Type); slices.Contains(builtin, below) {
						return below
					}
				}
			}
		}
	}
	return ""
}

// origin is where a member of a command comes from: a member of the event, or ""
// for the id of the event's aggregate.
type origin struct{ code, member string }

// madeFrom says how each member of a command is made from an event e of a record
// r, and which members are not.
func (m message) madeFrom(on message) (made map[string]origin, missing []string) {
	made = map[string]origin{}
	for _, to := range m.members {
		if code := m.converted(to, on); code != "" {
			made[to.name] = origin{code, to.name}
		} else if to.name == m.id.name && m.of.underlying(to.kind) == "string" {
			made[to.name] = origin{m.conversion(to, "r.AggregateID", "string"), ""}
		} else {
			missing = append(missing, to.name)
		}
	}
	return made, missing
}

// converted is a member of the event as a value for a member of the command, ""
// if the event has no such member.
func (m message) converted(to member, on message) string {
	i := slices.IndexFunc(on.members, func(from member) bool { return from.name == to.name })
	if i < 0 {
		return ""
	}
	from := on.members[i]
	same := m.of.file.folder() == on.of.file.folder()
	if same && from.kind == to.kind {
		return "e." + from.name
	}
	if below := m.of.underlying(to.kind); below != "" && below == on.of.underlying(from.kind) {
		return m.conversion(to, "e."+from.name, from.kind)
	}
	if shared, _, ok := strings.Cut(to.kind, "."); ok && from.kind == to.kind && m.file.importOf(shared) == on.file.importOf(shared) {
		return "e." + from.name
	}
	return ""
}

// conversion converts a value of a type to the type of a member.
func (m message) conversion(to member, value, kind string) string {
	switch {
	case to.kind == kind && slices.Contains(builtin, kind):
		return value
	case slices.Contains(builtin, to.kind):
		return to.kind + "(" + value + ")"
	default:
		return m.of.pkg() + "." + to.kind + "(" + value + ")"
	}
}

// importOf is the path of an import by its name in the file.
func (f *file) importOf(name string) string {
	for _, spec := range f.tree.Imports {
		if importedAs(spec) == name {
			return text(spec.Path)
		}
	}
	return ""
}

// sample has a value in Go for each member that the golden file of the
// aggregate's events shows as a plain value. Texts have a value in any case.
func (m message) sample(module *module) (map[string]string, error) {
	body, err := goldenBody(filepath.Join(module.root, filepath.FromSlash(path.Join(m.of.file.folder(), "testdata/events.golden"))), m.wire)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	for _, of := range m.members {
		raw, below := string(body[of.json]), m.of.underlying(of.kind)
		switch {
		case raw != "":
		case of.name == m.id.name:
			raw = `"1"`
		case below == "string":
			raw = `"First"`
		}
		var value any
		if json.Unmarshal([]byte(raw), &value) != nil {
			continue
		}
		switch value := value.(type) {
		case string:
			if below == "string" {
				values[of.name] = strconv.Quote(value)
			}
		case bool:
			if below == "bool" {
				values[of.name] = raw
			}
		case float64:
			if below == "string" {
				values[of.name] = strconv.Quote(raw)
			} else if below != "" && below != "bool" {
				values[of.name] = raw
			}
		}
	}
	return values, nil
}

// goldenBody is the body of the first message of a type in a golden file, nil if
// there is none.
func goldenBody(golden, wire string) (map[string]json.RawMessage, error) {
	content, err := os.ReadFile(filepath.FromSlash(golden))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(content)) {
		name, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		var members map[string]json.RawMessage
		if name == wire && json.Unmarshal([]byte(body), &members) == nil {
			return members, nil
		}
	}
	return nil, nil
}
