package main

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/millrace/millrace/"

// arrows is what each room may import of the others: a room is a folder with
// those in it that have no line of their own. ARCHITECTURE.md draws it.
var arrows = map[string][]string{
	"app":            {"config", "documents", "handlers", "handlers/users", "messaging", "projections", "telemetry", "web"},
	"config":         {},
	"documents":      {"handlers", "handlers/users", "messaging", "web"},
	"handlers":       {"handlers/users", "messaging", "web"},
	"handlers/users": {},
	"messaging":      {},
	"projections":    {"handlers/users", "messaging", "web"},
	"telemetry":      {"messaging", "web"},
	"testing/bench":  {"config", "messaging", "projections"},
	"testing/certs":  {},
	"testing/stack":  {},
	// What it checks by: the gate and the rules.
	"testing/torture": {"handlers/users", "messaging"},
	"web":             {},
}

// forTests are the rooms that every test may import.
var forTests = []string{"testing/certs"}

// standardLibraryOnly are the rooms that import nothing else.
var standardLibraryOnly = []string{"handlers/users"}

func TestArrows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "testdata" || name == "data" || name == "bin" || len(name) > 2 && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		folder := path.Dir(strings.TrimPrefix(filepath.ToSlash(file), "../"))
		from, ok := room(folder)
		if !ok {
			t.Errorf("%s is in no room", file)
		}
		seen[from] = true
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if why := forbidden(from, imported, strings.HasSuffix(file, "_test.go")); why != "" {
				t.Errorf("%s imports %s: %s", file, imported, why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range arrows {
		if !seen[name] {
			t.Errorf("there is no Go in %s", name)
		}
	}
}

// forbidden says why a room may not import a package, "" if it may.
func forbidden(from, imported string, test bool) string {
	ours, inModule := strings.CutPrefix(imported, module)
	if !inModule {
		domain, _, _ := strings.Cut(imported, "/")
		if slices.Contains(standardLibraryOnly, from) && strings.Contains(domain, ".") && !test {
			return from + " stands on the standard library alone"
		}
		return ""
	}
	to, _ := room(ours)
	if test && slices.Contains(forTests, to) {
		return ""
	}
	if to != from && !slices.Contains(arrows[from], to) {
		return from + " may import " + cmp.Or(strings.Join(arrows[from], ", "), "no other room")
	}
	return ""
}

// room is the one a folder is in.
func room(folder string) (name string, ok bool) {
	for ; folder != "."; folder = path.Dir(folder) {
		if _, ok := arrows[folder]; ok {
			return folder, true
		}
	}
	return "", false
}
