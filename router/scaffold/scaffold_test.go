package scaffold

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tree is a folder with files, by path.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		name := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func read(t *testing.T, dir, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func namesOf(t *testing.T, name string) Names {
	t.Helper()
	n, err := NamesOf(name, "")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

const (
	goMod = "module example.com/shop\n"
	// lamps is an aggregate as somebody may write one: with another name of the
	// contract, ids that are numbers, and comments in the lists.
	lamps = `package lamps

import (
	"strconv"

	contract "github.com/millrace/millrace/router/aggregate"
)

var Lamps = contract.Of(of)

var of = contract.Definition[Lamp]{
	Name: "lamp", Plural: "lamps",
	Commands: []func() contract.Command[Lamp]{func() contract.Command[Lamp] { return &LightLamp{} }},
	Events: []func() contract.Event[Lamp]{
		func() contract.Event[Lamp] { return new(LampLit) }, // the first
		// more to come
	},
}

type Lamp struct{}

type LightLamp struct {
	Number int ` + "`json:\"number\"`" + `
}

func (LightLamp) Type() string { return "lightLamp" }

func (l LightLamp) AggregateID() string { return strconv.Itoa(l.Number) }
`
)

// A command goes into lists as they are: only the two lines are new, and the new
// code is as the code of the aggregate is.
func TestNewCommandInAnotherStyle(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{
		"go.mod": goMod, "lamps/lamps.go": lamps, "lamps/testdata/events.golden": "# old\nlampLit {\"number\":7}",
		"other/go.mod": "module other\n", "other/wrong.go": "no Go", "lamps/testdata/wrong.go": "no Go",
	})
	w, err := NewCommand(filepath.Join(dir, "lamps"), "dim", "lamps", "")
	if err != nil {
		t.Fatal(err)
	}
	want := Written{
		Command: "dimLamp", Event: "lampDimmed",
		Created: []string{"lamps/dim_lamp.go", "lamps/dim_lamp_test.go"}, Changed: []string{"lamps/lamps.go", "lamps/testdata/events.golden"},
	}
	if diff := cmp.Diff(want, w); diff != "" {
		t.Error(diff)
	}
	changed := strings.NewReplacer(
		"return &LightLamp{} }}", "return &LightLamp{} }, func() contract.Command[Lamp] { return &DimLamp{} }}",
		"		// more to come\n", "		// more to come\n		func() contract.Event[Lamp] { return new(LampDimmed) },\n",
	).Replace(lamps)
	if diff := cmp.Diff(changed, read(t, dir, "lamps/lamps.go")); diff != "" {
		t.Error(diff)
	}
	code := read(t, dir, "lamps/dim_lamp.go")
	for _, part := range []string{
		"\"strconv\"\n", "type DimLamp struct {\n\tNumber int `json:\"number\"`\n}", "func (c DimLamp) AggregateID() string { return strconv.Itoa(c.Number) }",
		"func (c DimLamp) Decide(Lamp) (aggregate.Event[Lamp], error) {\n\treturn LampDimmed(c), nil\n}", "func (e LampDimmed) AggregateID() string { return strconv.Itoa(e.Number) }",
	} {
		if !strings.Contains(code, part) {
			t.Errorf("the code has no %s:\n%s", part, code)
		}
	}
	if test := read(t, dir, "lamps/dim_lamp_test.go"); !strings.Contains(test, "aggregatetest.Given(t, lamps.Lamps).When(command).Then(event)") || !strings.Contains(test, "lamps.DimLamp{Number: 7}") {
		t.Errorf("the test is\n%s", test)
	}
	if got, want := read(t, dir, "lamps/testdata/events.golden"), "# old\nlampLit {\"number\":7}\nlampDimmed {\"number\":7}\n"; got != want {
		t.Errorf("the golden file is\n%s", got)
	}
}

// A file that gofmt would change stays, but for the lines.
func TestUnformattedFilesStay(t *testing.T) {
	t.Parallel()
	odd := strings.Replace(lamps, "type Lamp struct{}", "type   Lamp struct{ }", 1)
	dir := tree(t, map[string]string{"go.mod": goMod, "lamps/lamps.go": odd})
	if _, err := NewCommand(dir, "dim", "lamp", ""); err != nil {
		t.Fatal(err)
	}
	if got := read(t, dir, "lamps/lamps.go"); !strings.Contains(got, "type   Lamp struct{ }") || !strings.Contains(got, "DimLamp") {
		t.Errorf("the file is\n%s", got)
	}
}

// If a list is not where the lines can go, the team's file stays, and the lines
// are told.
func TestCommandByHand(t *testing.T) {
	t.Parallel()
	odd := strings.Replace(lamps, "[]func() contract.Command[Lamp]{func() contract.Command[Lamp] { return &LightLamp{} }},", "commands(),", 1)
	dir := tree(t, map[string]string{"go.mod": goMod, "lamps/lamps.go": odd})
	w, err := NewCommand(dir, "dim-slowly", "lamp", "lamp-dimmed")
	if err != nil {
		t.Fatal(err)
	}
	want := []ByHand{{File: "lamps/lamps.go", Where: "in the definition", Lines: []string{
		"func() contract.Command[Lamp] { return new(DimSlowly) }, // in the list Commands",
		"func() contract.Event[Lamp] { return new(LampDimmed) }, // in the list Events",
	}}}
	if diff := cmp.Diff(want, w.ByHand); diff != "" || len(w.Changed) > 0 {
		t.Error(w.Changed, diff)
	}
	if got := read(t, dir, "lamps/lamps.go"); got != odd {
		t.Errorf("the file is\n%s", got)
	}
	if code := read(t, dir, "lamps/dim_slowly.go"); !strings.Contains(code, "\tID string `json:\"id\"`\n") {
		t.Errorf("the code is\n%s", code)
	}
}

func TestNewCommandRefused(t *testing.T) {
	t.Parallel()
	files := map[string]string{"go.mod": goMod, "lamps/lamps.go": lamps}
	for given, want := range map[string]string{
		"dim/lump":             `there is no aggregate "lump" in example.com/shop; its aggregates are lamp`,
		"light-lamp/lamp":      `package lamps has the name LightLamp already`,
		"lights/lamp/lamp-lit": "",
		"dim/lamp/dim-lamp":    `the command and the event can't both be called dimLamp: name the event with --event`,
		"light/lamp/x-y":       `package lamps has the name LightLamp already`,
		"dim!/lamp":            `the command's name "dim!" has the character '!'`,
		"dim/lamp/?":           `the event's name "?" has the character '?'`,
	} {
		parts := append(strings.Split(given, "/"), "")
		dir := tree(t, files)
		_, err := NewCommand(dir, parts[0], parts[1], parts[2])
		if want == "" && err == nil {
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", given, err, want)
		}
		if got := read(t, dir, "lamps/lamps.go"); got != lamps {
			t.Errorf("%s: the file is\n%s", given, got)
		}
	}
	// A message of another aggregate, a file that is there, and code that is wrong.
	files["cups/cups.go"] = "package cups\n\ntype cup struct{}\n\nfunc (cup) Type() string { return \"dimLamp\" }\n"
	if _, err := NewCommand(tree(t, files), "dim", "lamp", ""); err == nil || err.Error() != `there is a message "dimLamp" already, in cups/cups.go` {
		t.Error(err)
	}
	delete(files, "cups/cups.go")
	files["lamps/dim_lamp.go"] = "package lamps\n"
	if _, err := NewCommand(tree(t, files), "dim", "lamp", ""); err == nil || err.Error() != `lamps/dim_lamp.go is there already; nothing was written` {
		t.Error(err)
	}
	files["lamps/dim_lamp.go"] = "package"
	if _, err := NewCommand(tree(t, files), "dim", "lamp", ""); err == nil || !strings.HasPrefix(err.Error(), "mend this first: lamps/dim_lamp.go:1:") {
		t.Error(err)
	}
	if _, err := NewCommand(tree(t, map[string]string{"go.mod": goMod}), "dim", "lamp", ""); err == nil || !strings.Contains(err.Error(), "there is no aggregate in example.com/shop") {
		t.Error(err)
	}
}

const domainFile = `package main

import (
	"example.com/shop/handlers/lamps" // the light

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/service"
)

var domain = service.Domain{
	Aggregates: []*aggregate.Type{
		lamps.Lamps, // the light
	},
	Models: nil,
}
`

// An aggregate goes into the lists of the service, and by hand if a list is not
// there.
func TestNewAggregateInLists(t *testing.T) {
	t.Parallel()
	whole := strings.Replace(domainFile, "Models: nil", "Models: []query.Model{}", 1)
	dir := tree(t, map[string]string{"go.mod": goMod, "cmd/shop/domain.go": whole})
	w, err := NewAggregate(filepath.Join(dir, "cmd"), namesOf(t, "order"))
	if err != nil || len(w.ByHand) > 0 || len(w.Created) != 14 {
		t.Fatalf("%+v, %v", w, err)
	}
	want := strings.NewReplacer(
		"lamps\" // the light\n", "lamps\" // the light\n\t\"example.com/shop/handlers/orders\"\n\t\"example.com/shop/projections/orderlist\"\n",
		"lamps.Lamps, // the light\n", "lamps.Lamps, // the light\n\t\torders.Aggregate,\n",
		"query.Model{}", "query.Model{orderlist.Model}",
	).Replace(whole)
	if diff := cmp.Diff(want, read(t, dir, "cmd/shop/domain.go")); diff != "" {
		t.Error(diff)
	}

	dir = tree(t, map[string]string{"go.mod": goMod, "domain.go": domainFile})
	w, err = NewAggregate(dir, namesOf(t, "order"))
	if err != nil || len(w.ByHand) != 1 || len(w.Changed) > 0 || len(w.Created) != 14 {
		t.Fatalf("%+v, %v", w, err)
	}
	byHand := ByHand{File: "domain.go", Where: "in the service.Domain of the service", Lines: []string{
		`"example.com/shop/handlers/orders" // among the imports`, `"example.com/shop/projections/orderlist" // among the imports`,
		"orders.Aggregate, // in the list Aggregates", "orderlist.Model, // in the list Models",
	}}
	if diff := cmp.Diff(byHand, w.ByHand[0]); diff != "" {
		t.Error(diff)
	}
	if got := read(t, dir, "domain.go"); got != domainFile {
		t.Errorf("the file is\n%s", got)
	}
}

// A new service is written into an empty folder only, and with a module path and
// a checkout that can be.
func TestServiceRefused(t *testing.T) {
	t.Parallel()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]Service{
		"is not empty: there is go.mod":                             {Dir: tree(t, map[string]string{"go.mod": goMod}), Module: "example.com/shop", Checkout: checkout},
		`the module path "example.com/a b" must be words`:           {Module: "example.com/a b"},
		`the module path "shop" must begin with a domain`:           {Module: "shop"},
		`the module path "example.com/" must be words`:              {Module: "example.com/"},
		`the module path "example.com/2" must be words`:             {Module: "example.com/2"},
		`module path "github.com/millrace/millrace" is Millrace's`:  {Module: RouterModule},
		"there is no checkout of Millrace in nowhere":               {Dir: "x", Module: "example.com/shop", Checkout: "nowhere"},
		"checkout of Millrace in testdata/x, but of example.com/no": {Dir: "x", Module: "example.com/shop", Checkout: "testdata/x"},
	} {
		s.Aggregate = namesOf(t, "order")
		if _, err := s.Write(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A folder with git only is empty, and go.mod has the path of the checkout as
// people give the path.
func TestService(t *testing.T) {
	t.Parallel()
	dir := tree(t, map[string]string{".git/HEAD": "x"})
	w, err := Service{Dir: dir, Module: "example.com/coffee-shop/v2", Aggregate: namesOf(t, "customer"), Release: "v1.2.3"}.Write()
	if err != nil || len(w.Created) != 25 {
		t.Fatalf("%+v, %v", w, err)
	}
	if got, want := read(t, dir, "go.mod"), "module example.com/coffee-shop/v2\n\ngo 1.26.0\n\nrequire github.com/millrace/millrace v1.2.3\n"; got != want {
		t.Errorf("go.mod is\n%s", got)
	}
	for file, part := range map[string]string{"domain.go": `"Coffee Shop"`, "Makefile": "bin/coffee-shop .", "Dockerfile": `ENTRYPOINT ["coffee-shop"]`, "README.md": "new aggregate order"} {
		if text := read(t, dir, file); !strings.Contains(text, part) {
			t.Errorf("%s has no %s:\n%s", file, part, text)
		}
	}
	for _, file := range w.Created {
		if text := read(t, dir, file); strings.Contains(text, "<no value>") || strings.Contains(text, "replace") && file != "README.md" {
			t.Errorf("%s is\n%s", file, text)
		}
	}
}

// In go.mod, the path of the checkout is relative if people give a relative path.
func TestReplacement(t *testing.T) {
	t.Parallel()
	checkout, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, given := range []string{"../..", checkout} {
		dir, want := t.TempDir(), checkout
		if !filepath.IsAbs(given) {
			if want, err = filepath.Rel(dir, checkout); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := (Service{Dir: dir, Module: "example.com/shop", Aggregate: namesOf(t, "order"), Checkout: given}).Write(); err != nil {
			t.Fatal(err)
		}
		if text := read(t, dir, "go.mod"); !strings.Contains(text, "\nreplace github.com/millrace/millrace => "+filepath.ToSlash(want)+"\n") {
			t.Errorf("want %s, go.mod is\n%s", want, text)
		}
	}
}
