package scaffold

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/router/reaction"
)

// newReaction is the data of the templates.
type newReaction struct {
	Name, Package                     string
	ReactionImport                    string
	Imports, TestImports              []string
	EventType, CommandType, Aggregate string   // orderPlaced, sendParcel, order
	Event, Command                    string   // in Go: orders.OrderPlaced, parcels.SendParcel{ID: e.ID}
	Uses                              bool     // the command has members of the event
	Missing                           []string // members of the command that the event doesn't have
	Aggregates                        []string // in Go
	GivenEvent, WantCommand           string   // of the test, in Go
}

// NewReaction writes a reaction that answers an event with a command, with its
// test, into the service that the folder is in, and adds the reaction to the
// service's list. Without an event: the first event of the first aggregate.
// Without a command: the first command that has no members beside those of the
// event, and is not the first command of the event's aggregate; commands for
// reactions only come before the commands of clients.
func NewReaction(dir, name, event, command string) (Written, error) {
	m, err := openModule(dir)
	if err != nil {
		return Written{}, err
	}
	words, err := wordsOf(name)
	if err != nil {
		return Written{}, fmt.Errorf("the reaction's name %q %w, such as shipping", name, err)
	}
	data := newReaction{Name: strings.Join(words, "-"), Package: strings.Join(words, ""), ReactionImport: reactionImport}
	if err := m.checkReaction(data); err != nil {
		return Written{}, err
	}
	on, err := m.choose("event", event, m.messages("Events"), func(message) bool { return true })
	if err != nil {
		return Written{}, err
	}
	then, err := m.choose("command", command, append(m.messages("Internal"), m.messages("Commands")...), func(c message) bool {
		_, missing := c.madeFrom(on)
		return len(missing) == 0 && (c.of.name != on.of.name || !c.first)
	})
	if err != nil {
		return Written{}, err
	}
	if err := data.fill(m, on, then); err != nil {
		return Written{}, err
	}
	c := newChanges(m.root)
	file := "reactions/" + data.Package + "/" + data.Package
	if err := c.renderAll(data, map[string]string{file + ".go": "reaction.go", file + "_test.go": "reaction_test.go"}); err != nil {
		return Written{}, err
	}
	m.addReaction(c, data)
	w, err := c.write()
	w.Reaction, w.Event, w.Command, w.Missing = data.Name, data.EventType, data.CommandType, data.Missing
	return w, err
}

// checkReaction says why a reaction can't have the name.
func (m *module) checkReaction(data newReaction) error {
	if why := whyTaken(data.Package); why != "" {
		return fmt.Errorf("the reaction can't be called %q: %s", data.Name, why)
	}
	for _, f := range m.files {
		for _, l := range f.literals() {
			if f.isOf(l.Type, reactionImport, "Reaction") && text(field(l, "Name")) == data.Name {
				return fmt.Errorf("there is a reaction %q already, in %s", data.Name, f.path)
			}
		}
		if f.tree.Name.Name == data.Package {
			return fmt.Errorf("the reaction can't be called %q: there is a package %s already, in %s", data.Name, data.Package, f.folder())
		}
	}
	if err := reaction.CheckName(data.Name); err != nil {
		return fmt.Errorf("the reaction can't be called %q: %w", data.Name, err)
	}
	return nil
}

// choose is the message with a name, in any usual way of writing, or without a
// name the first message that suits.
func (m *module) choose(kind, name string, all []message, suits func(message) bool) (message, error) {
	var names []string
	for _, one := range all {
		words, err := wordsOf(name)
		if name == "" && suits(one) || name != "" && (name == one.wire || err == nil && camel(words) == one.wire) {
			return one, nil
		}
		names = append(names, one.wire)
	}
	switch {
	case len(names) == 0:
		return message{}, fmt.Errorf("there is no %s in %s: no aggregate.Definition lists one", kind, m.path)
	case name == "":
		return message{}, fmt.Errorf("name the %s with --%[1]s; there are %s", kind, strings.Join(names, ", "))
	default:
		return message{}, fmt.Errorf("there is no %s %q in %s; there are %s", kind, name, m.path, strings.Join(names, ", "))
	}
}

// fill sets what depends on the event and the command.
func (data *newReaction) fill(m *module, on, then message) error {
	sample, err := on.sample(m)
	if err != nil {
		return err
	}
	data.EventType, data.CommandType, data.Aggregate, data.Event = on.wire, then.wire, on.of.name, on.qualified()
	made, missing := then.madeFrom(on)
	data.Missing = missing
	var event, command, want []string
	for _, member := range on.members {
		if value := sample[member.name]; value != "" {
			event = append(event, member.name+": "+value)
		}
	}
	for _, member := range then.members {
		from, ok := made[member.name]
		if !ok {
			continue
		}
		command = append(command, member.name+": "+from.code)
		data.Uses = data.Uses || from.member != ""
		value := sample[from.member]
		if from.member == "" {
			value = strconv.Quote(strings.Trim(sample[on.id.name], `"`)) // ids are texts
		}
		if value != "" {
			want = append(want, member.name+": "+value)
		}
	}
	data.GivenEvent = on.qualified() + "{" + strings.Join(event, ", ") + "}"
	data.Command = then.qualified() + "{" + strings.Join(command, ", ") + "}"
	data.WantCommand = then.qualified() + "{" + strings.Join(want, ", ") + "}"
	for _, of := range []definition{on.of, then.of} {
		if line := strconv.Quote(of.importPath(m)); !slices.Contains(data.Imports, line) {
			data.Imports = append(data.Imports, line)
			data.Aggregates = append(data.Aggregates, of.pkg()+"."+of.variable)
		}
	}
	slices.Sort(data.Imports)
	data.TestImports = append(slices.Clone(data.Imports), strconv.Quote(data.importPath(m)))
	slices.Sort(data.TestImports)
	return nil
}

// importPath is the path of the reaction's package.
func (data *newReaction) importPath(m *module) string { return m.path + "/reactions/" + data.Package }

// addReaction adds a reaction to the service's list, which may not be there yet.
func (m *module) addReaction(c *changes, data newReaction) {
	element := data.Package + ".Reaction"
	m.editDomain(c, domainChange{
		imports: []string{data.importPath(m)},
		byHand:  []string{element + ", // in the list Reactions"},
		edits: func(f *file, domain *domainLiteral) []edit {
			if list := field(domain, "Reactions"); list != nil {
				return []edit{f.listEdit(list, element)}
			}
			name := f.importName(reactionImport)
			edits := []edit{}
			if name == "" {
				name, edits = path.Base(reactionImport), f.importEdits(RouterModule, reactionImport)
			}
			return append(edits, f.fieldEdit(domain, "Reactions", fmt.Sprintf("[]*%s.Reaction{%s}", name, element)))
		},
	})
}
