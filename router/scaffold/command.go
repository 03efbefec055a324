package scaffold

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// newCommand is the data of the templates.
type newCommand struct {
	Package, Path, AggregateImport, Variable string
	Words, State                             string
	Command, CommandType, Event, EventType   string
	Asks                                     string
	Field, FieldName                         string
	IDOfCommand, IDOfEvent                   string
	ID                                       string // of a test, in Go
	Imports                                  []string
	MustExist, Given                         bool
}

// NewCommand writes a command with its event into an aggregate of the service
// that the folder is in, and adds both to the lists of the definition. A name of
// one word, such as ship, gets the aggregate's name: shipOrder. Without the
// name of the event, the event has the command's name in the past tense.
func NewCommand(dir, name, aggregate, event string) (Written, error) {
	m, err := openModule(dir)
	if err != nil {
		return Written{}, err
	}
	d, err := m.definition(aggregate)
	if err != nil {
		return Written{}, err
	}
	words, err := wordsOf(name)
	if err != nil {
		return Written{}, fmt.Errorf("the command's name %q %w, such as ship or ship-order", name, err)
	}
	noun, err := wordsOf(d.name)
	if err != nil {
		return Written{}, fmt.Errorf("the aggregate's name %q %w", d.name, err)
	}
	if len(words) == 1 {
		words = append(words, noun...)
	}
	happened := append(slices.Clone(words[1:]), pastOf(words[0]))
	if event != "" {
		if happened, err = wordsOf(event); err != nil {
			return Written{}, fmt.Errorf("the event's name %q %w, such as order-shipped", event, err)
		}
	}
	data := newCommand{
		Package: d.file.tree.Name.Name, Path: d.importPath(m), AggregateImport: aggregateImport, Variable: d.variable,
		Words: strings.Join(noun, " "), State: d.state,
		Command: pascal(words), CommandType: camel(words), Event: pascal(happened), EventType: camel(happened),
		Asks: words[0] + " " + withArticle(strings.Join(words[1:], " ")),
	}
	if err := m.checkNew(d, data); err != nil {
		return Written{}, err
	}
	return data.write(m, d, fileName(words))
}

// checkNew says which of the names is taken.
func (m *module) checkNew(d definition, data newCommand) error {
	if data.Command == data.Event || data.CommandType == data.EventType {
		return fmt.Errorf("the command and the event can't both be called %s: name the event with --event", data.CommandType)
	}
	for _, name := range []string{data.Command, data.Event} {
		if d.declares(name) {
			return fmt.Errorf("package %s has the name %s already", data.Package, name)
		}
	}
	for _, f := range m.files {
		for _, declaration := range f.tree.Decls {
			fn, ok := declaration.(*ast.FuncDecl)
			if !ok || fn.Name.Name != "Type" || fn.Body == nil || len(fn.Body.List) != 1 || f.isTest() {
				continue
			}
			if result, ok := fn.Body.List[0].(*ast.ReturnStmt); ok && len(result.Results) == 1 {
				if taken := text(result.Results[0]); taken == data.CommandType || taken == data.EventType {
					return fmt.Errorf("there is a message %q already, in %s", taken, f.path)
				}
			}
		}
	}
	return nil
}

// write writes the command into the package of the definition.
func (data newCommand) write(m *module, d definition, fileName string) (Written, error) {
	folder := d.file.folder()
	c := newChanges(m.root)
	id := d.id()
	body, err := sampleBody(c.at(path.Join(folder, "testdata/events.golden")), id.member)
	if err != nil {
		return Written{}, err
	}
	data.Field, data.FieldName, data.Imports, data.ID = id.field, id.name, id.imports, body.value
	data.IDOfCommand, data.IDOfEvent = strings.Replace(id.value, "x.", "c.", 1), strings.Replace(id.value, "x.", "e.", 1)
	_, mustExist := d.function(d.state, "mustExist")
	_, given := d.function("", "given")
	data.MustExist = mustExist != nil && mustExist.Type.Params.NumFields() == 0 && mustExist.Type.Results.NumFields() == 1
	data.Given = data.MustExist && given != nil && d.declares("created") && d.declares("ErrNotFound")
	files := map[string]string{path.Join(folder, fileName+".go"): "command.go"}
	if data.Given || !data.MustExist {
		files[path.Join(folder, fileName+"_test.go")] = "command_test.go"
	}
	if err := errors.Join(
		c.renderAll(data, files),
		c.appendLine(path.Join(folder, "testdata/commands.golden"), data.CommandType+" "+body.text),
		c.appendLine(path.Join(folder, "testdata/events.golden"), data.EventType+" "+body.text),
	); err != nil {
		return Written{}, err
	}
	data.addToLists(c, d)
	w, err := c.write()
	w.Command, w.Event = data.CommandType, data.EventType
	return w, err
}

// addToLists adds the command and the event to the lists of the definition.
func (data newCommand) addToLists(c *changes, d definition) {
	commands, command := data.element(d, "Commands", "Command", data.Command)
	events, event := data.element(d, "Events", "Event", data.Event)
	changed, err := d.file.edited(d.file.listEdit(commands, command), d.file.listEdit(events, event))
	if err != nil {
		c.byHand = append(c.byHand, ByHand{
			File: d.file.path, Where: "in the definition",
			Lines: []string{command + ", // in the list Commands", event + ", // in the list Events"},
		})
		return
	}
	c.change[d.file.path] = changed
}

// element is a list of the definition, and an element for the list: as the last
// element is, with another type.
func (data newCommand) element(d definition, list, kind, goType string) (ast.Expr, string) {
	there := field(d.literal, list)
	if literal, ok := there.(*ast.CompositeLit); ok && len(literal.Elts) > 0 {
		last := literal.Elts[len(literal.Elts)-1]
		if name := madeBy(last); name != nil {
			source, at := d.file.source(last), d.file.offset(name.Pos())-d.file.offset(last.Pos())
			return there, source[:at] + goType + source[at+len(name.Name):]
		}
	}
	return there, fmt.Sprintf("func() %s.%s[%s] { return new(%s) }", d.file.importName(aggregateImport), kind, d.state, goType)
}

// sample is a body of a new message, and the id in the body, both JSON.
type sample struct{ text, value string }

var plainJSON = regexp.MustCompile(`^("[A-Za-z0-9._-]*"|[0-9]+)$`)

// sampleBody takes the id from the first event of a golden file.
func sampleBody(golden, member string) (sample, error) {
	value := `"1"`
	content, err := os.ReadFile(filepath.FromSlash(golden))
	if err == nil {
		for line := range strings.Lines(string(content)) {
			_, body, _ := strings.Cut(strings.TrimSpace(line), " ")
			var members map[string]json.RawMessage
			if strings.HasPrefix(line, "#") || json.Unmarshal([]byte(body), &members) != nil {
				continue
			}
			if raw := members[member]; plainJSON.Match(raw) {
				value = string(raw)
				break
			}
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return sample{}, err
	}
	return sample{"{" + strconv.Quote(member) + ":" + value + "}", value}, nil
}

// jsonTag is the tag json of a field, from the source of all its tags.
func jsonTag(source string) string {
	tags, err := strconv.Unquote(source)
	if err != nil {
		return ""
	}
	return reflect.StructTag(tags).Get("json")
}
