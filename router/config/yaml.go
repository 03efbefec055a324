package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yaml sets the keys of a file. The parsed document is walked here, because the
// library's decoder stops at the first mistake, and takes 5 for "5".
func (l *loader) yaml(path string, content []byte) {
	if !utf8.Valid(content) {
		l.add(Problem{Source: path, Reason: "must be UTF-8"})
		return
	}
	tokens := lexer.Tokenize(string(content))
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.add(syntaxProblem(path, err))
		return
	}
	docs := slices.DeleteFunc(file.Docs, func(d *ast.DocumentNode) bool {
		_, directive := d.Body.(*ast.DirectiveNode) // %YAML 1.2
		return directive
	})
	if len(docs) > 1 || headers(tokens) > 1 {
		l.add(Problem{Source: path, Reason: "must hold one YAML document, not several"})
		return
	}
	for _, d := range docs {
		l.group(path, "", d.Body, map[string]int{})
	}
}

// headers counts the lines that start a document, because the parser skips the
// document after an empty document.
func headers(tokens token.Tokens) int {
	n := 0
	for _, t := range tokens {
		if t.Type == token.DocumentHeaderType {
			n++
		}
	}
	return n
}

// group sets the keys of a mapping: the whole document, or a group such as
// kafka. seen has the line of every key so far.
func (l *loader) group(path, prefix string, node ast.Node, seen map[string]int) {
	if node == nil || node.Type() == ast.NullType {
		return // empty, or commented out
	}
	mapping, ok := node.(ast.MapNode)
	if !ok {
		key := strings.TrimSuffix(prefix, ".")
		l.add(Problem{Key: key, Source: at(path, node), Reason: "must be a mapping of keys to values"})
		return
	}
	keys, _ := names()
	for entries := mapping.MapRange(); entries.Next(); {
		key := prefix + entries.Key().GetToken().Value
		source := at(path, entries.Key())
		f, known := fieldNamed(key)
		switch line, twice := seen[key]; {
		case twice:
			l.add(Problem{Key: key, Source: source, Reason: fmt.Sprintf("given twice, first in line %d", line)})
		case strings.Contains(strings.TrimPrefix(key, prefix), "."):
			l.add(Problem{Key: key, Source: source, Reason: "unknown key: write it nested, one mapping for each dot"})
		case known:
			l.scalar(f, source, entries.Value())
		case slices.Contains(groups(), key):
			l.group(path, key+".", entries.Value(), seen)
		default:
			l.add(Problem{Key: key, Source: source, Reason: unknown("key", key, append(groups(), keys...))})
		}
		seen[key] = lineOf(entries.Key())
	}
}

// scalar sets a key from a scalar, or from a list of scalars.
func (l *loader) scalar(f field, source string, node ast.Node) {
	nodes := []ast.Node{node}
	if f.Type == "list" {
		sequence, ok := node.(*ast.SequenceNode)
		if !ok {
			l.add(wrongType(f, source, node))
			return
		}
		nodes = sequence.Values
	}
	items := make([]string, len(nodes))
	for i, n := range nodes {
		if !typeFits(f, n) {
			l.add(wrongType(f, source, n))
			return
		}
		items[i] = scalarText(n)
	}
	l.set(f, source, items...)
}

// typeFits reports whether a value is written as the key's own type.
func typeFits(f field, node ast.Node) bool {
	switch node.Type() {
	case ast.StringType, ast.LiteralType:
		return f.Type != "integer" && f.Type != "number" && f.Type != "boolean"
	case ast.IntegerType:
		return f.Type == "integer" || f.Type == "number" || f.Type == "duration" // 0 has no unit
	case ast.FloatType:
		return f.Type == "number"
	case ast.BoolType:
		return f.Type == "boolean"
	}
	return false
}

// scalarText is a scalar as written, without quotes.
func scalarText(node ast.Node) string {
	if literal, ok := node.(*ast.LiteralNode); ok {
		return literal.Value.Value
	}
	return node.GetToken().Value
}

func wrongType(f field, source string, node ast.Node) Problem {
	p := Problem{Key: f.Name, Value: shown(f, node), Source: source, Reason: f.value.allowed}
	if _, fits := f.value.parse(scalarText(node)); fits && f.Type != "list" {
		switch node.Type() {
		case ast.StringType:
			p.Reason += ", without quotes"
		case ast.IntegerType, ast.FloatType, ast.BoolType:
			p.Reason += ", in quotes"
		}
	}
	return p
}

// shown is a value of the wrong type.
func shown(f field, node ast.Node) string {
	switch node.Type() {
	case ast.MappingType, ast.MappingValueType:
		return "a mapping"
	case ast.SequenceType:
		return "a list"
	case ast.NullType:
		return "null"
	case ast.AnchorType, ast.AliasType, ast.TagType:
		return "an anchor, alias or tag"
	}
	return f.shown(scalarText(node))
}

// syntaxProblem drops the words that the library quotes, because a quoted word
// can be a secret.
func syntaxProblem(path string, err error) Problem {
	p := Problem{Source: path, Reason: "is not YAML"}
	if syntax, ok := errors.AsType[yaml.Error](err); ok {
		message, _, _ := strings.Cut(syntax.GetMessage(), `"`)
		p.Reason += ": " + strings.TrimRight(message, ": ")
		if t := syntax.GetToken(); t != nil {
			p.Source = fmt.Sprintf("%s:%d", path, t.Position.Line)
		}
	}
	return p
}

func at(path string, node ast.Node) string { return fmt.Sprintf("%s:%d", path, lineOf(node)) }

func lineOf(node ast.Node) int { return node.GetToken().Position.Line }
