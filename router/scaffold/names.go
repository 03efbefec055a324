package scaffold

import (
	"fmt"
	"go/build"
	"go/token"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/millrace/millrace/router/aggregate"
)

// Names are the names of an aggregate in code, on the wire and in texts.
type Names struct {
	Name, Plural                        string // on the wire: purchase-order, purchase-orders
	Camel                               string // in types of messages: purchaseOrder
	Type, Types                         string // in Go: PurchaseOrder
	Component, ComponentPlural          string // in OpenAPI, as the router forms names of components
	Package, List                       string // packages: purchaseorders, purchaseorderlist
	ReadModel, Table                    string // purchaseorders, purchase_orders
	Words, Prose, ProsePlural, Sentence string // purchase order, a purchase order, purchase orders, Purchase-order
	createFile, renameFile              string // without .go
}

// NamesOf are the names of an aggregate, whose name may be written in any usual
// way, such as purchase-order or PurchaseOrder. Without a plural, the plural is
// a guess.
func NamesOf(name, plural string) (Names, error) {
	one, err := wordsOf(name)
	if err != nil {
		return Names{}, fmt.Errorf("the aggregate's name %q %w, such as order or purchase-order", name, err)
	}
	many := append(slices.Clone(one[:len(one)-1]), pluralOf(one[len(one)-1]))
	if plural != "" {
		if many, err = wordsOf(plural); err != nil {
			return Names{}, fmt.Errorf("the plural %q %w, such as orders or purchase-orders", plural, err)
		}
	}
	n := Names{
		Name: strings.Join(one, "-"), Plural: strings.Join(many, "-"),
		Camel: camel(one), Type: pascal(one), Types: pascal(many), Component: title(one), ComponentPlural: title(many),
		Package: strings.Join(many, ""), List: strings.Join(one, "") + "list",
		ReadModel: strings.Join(many, ""), Table: strings.Join(many, "_"),
		Words: strings.Join(one, " "), Prose: withArticle(strings.Join(one, " ")), ProsePlural: strings.Join(many, " "),
		createFile: fileName(append([]string{"create"}, one...)), renameFile: fileName(append([]string{"rename"}, one...)),
	}
	n.Sentence = strings.ToUpper(n.Name[:1]) + n.Name[1:]
	return n, n.check()
}

// taken are names in the generated files and in the documents, so no aggregate
// can have them.
var (
	takenTypes      = []string{"Aggregate", "ID", "Text", "ParseID", "ErrExists", "ErrNotFound"}
	takenPackages   = []string{"aggregate", "aggregatetest", "context", "errors", "http", "json", "mux", "os", "projection", "projectiontest", "query", "reaction", "reactiontest", "regexp", "service", "servicetest", "strings", "testing", "unicode", "utf8", "web", "main", "internal", "vendor", "testdata", "domain", "id", "text"}
	takenComponents = []string{"CancelScheduledCommand", "CommandAccepted", "CommandID", "CommandStatus", "CommandSucceeded", "ExpectedVersion", "LineResult", "NotBefore", "Position", "Problem", "Projection", "Stream", "Time", "Version"}
	predeclared     = []string{"any", "append", "error", "false", "len", "new", "nil", "string", "true"}
	takenModels     = []string{"commands", "history"}
)

// check says why an aggregate can't have the names.
func (n Names) check() error {
	switch {
	case slices.Contains(takenTypes, n.Type), slices.Contains(takenComponents, n.Component):
		return fmt.Errorf("the aggregate can't be called %q: Millrace uses the name %s already", n.Name, n.Type)
	case slices.Contains(takenModels, n.ReadModel):
		return fmt.Errorf("the plural can't be %q: Millrace uses the name %s already; give another --plural", n.Plural, n.Package)
	}
	if why := whyTaken(n.Package); why != "" {
		return fmt.Errorf("the plural can't be %q: %s; give another --plural", n.Plural, why)
	}
	// The router knows the names that it keeps for itself.
	_, err := aggregate.NewRegistry(aggregate.Of(aggregate.Definition[struct{}]{
		Name: n.Name, Plural: n.Plural,
		Commands: []func() aggregate.Command[struct{}]{func() aggregate.Command[struct{}] { return &example{Name: "create" + n.Component} }},
		Events:   []func() aggregate.Event[struct{}]{func() aggregate.Event[struct{}] { return &example{Name: n.Camel + "Created"} }},
		Refusals: []*aggregate.Refusal{{Slug: n.Name + "-exists", Detail: "exists"}, {Slug: n.Name + "-not-found", Detail: "not found"}},
	}))
	return err
}

// whyTaken says why a package can't have a name, "" if it can.
func whyTaken(name string) string {
	switch {
	case slices.Contains(takenPackages, name):
		return "Millrace uses the name " + name + " already"
	case token.IsKeyword(name), slices.Contains(predeclared, name):
		return "Go uses the word " + name
	default:
		return ""
	}
}

// example stands for a command and an event, in [Names.check].
type example struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// Type is the given name.
func (e *example) Type() string { return e.Name }

// AggregateID is the id.
func (e *example) AggregateID() string { return e.ID }

// Decide changes nothing.
func (*example) Decide(struct{}) (aggregate.Event[struct{}], error) { return nil, nil }

// Apply changes nothing.
func (*example) Apply(s struct{}) struct{} { return s }

var wordForm = regexp.MustCompile(`^[A-Z]*[a-z0-9]*`)

const maxName = 40

// wordsOf are the words of a name, in lower case: "purchase-order",
// "purchase_order" and "PurchaseOrder" have the same words.
func wordsOf(name string) ([]string, error) {
	for _, c := range name {
		if !isPlain(c) && !strings.ContainsRune("-_ ", c) {
			return nil, fmt.Errorf("has the character %q: use letters from a to z, digits and hyphens", c)
		}
	}
	var words []string
	for _, part := range strings.FieldsFunc(name, func(c rune) bool { return !isPlain(c) }) {
		for part != "" {
			word := wordForm.FindString(part)
			// In HTTPRoute, R begins the second word.
			if upper := strings.IndexFunc(word, func(c rune) bool { return !unicode.IsUpper(c) }); upper > 1 && unicode.IsLower(rune(word[upper])) {
				word = word[:upper-1]
			}
			words, part = append(words, strings.ToLower(word)), part[len(word):]
		}
	}
	switch {
	case len(words) == 0:
		return nil, fmt.Errorf("has no letter: use letters, digits and hyphens")
	case unicode.IsDigit(rune(words[0][0])):
		return nil, fmt.Errorf("begins with a digit: begin with a letter")
	case len(name) > maxName:
		return nil, fmt.Errorf("has %d characters: use at most %d", len(name), maxName)
	}
	return words, nil
}

func isPlain(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// initialisms are the words that Go names have in capital letters.
var initialisms = []string{"api", "csv", "dns", "html", "http", "https", "id", "ip", "json", "pdf", "rpc", "sku", "sla", "sql", "ssh", "tls", "ttl", "ui", "uid", "uri", "url", "uuid", "vm", "xml"}

// pascal is the form of exported Go names: PurchaseOrder, APIKey.
func pascal(words []string) string {
	var name strings.Builder
	for _, word := range words {
		if slices.Contains(initialisms, word) {
			name.WriteString(strings.ToUpper(word))
		} else {
			name.WriteString(strings.ToUpper(word[:1]) + word[1:])
		}
	}
	return name.String()
}

// title is the form of names of components: PurchaseOrder, ApiKey.
func title(words []string) string {
	var name strings.Builder
	for _, word := range words {
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}

// camel is the form of types of messages: purchaseOrder, apiKey.
func camel(words []string) string { return words[0] + title(words[1:]) }

// fileName is the name of a Go file of these words, without .go. Names such as
// create_linux and run_test have a meaning for go build, so their words are
// joined without underscores.
func fileName(words []string) string {
	name := strings.Join(words, "_")
	nowhere := build.Context{GOOS: "none", GOARCH: "none", Compiler: "none", OpenFile: func(string) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("package x\n")), nil
	}}
	if match, err := nowhere.MatchFile(".", name+".go"); err != nil || !match || strings.HasSuffix(name, "_test") {
		return strings.Join(words, "")
	}
	return name
}
