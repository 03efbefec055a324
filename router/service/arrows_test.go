package service

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
	"app":                   {"config", "documents", "handlers", "messaging", "projections", "router/aggregate", "telemetry", "web"},
	"config":                {},
	"documents":             {"router/aggregate", "web"},
	"handlers":              {"messaging", "router/aggregate", "web"},
	"handlers/users":        {"router/aggregate"},
	"messaging":             {},
	"projections":           {"messaging", "router/aggregate", "web"},
	"projections/userlist":  {"handlers/users", "projections", "web"},
	"projections/userstats": {"handlers/users", "projections", "router/aggregate", "web"},
	"router/aggregate":      {},
	"telemetry":             {"messaging", "web"},
	"testing/bench":         {"config", "messaging", "projections", "router/aggregate"},
	"testing/certs":         {},
	"testing/stack":         {},
	// The gate and the rules are what torture checks by.
	"testing/torture": {"messaging", "router/aggregate"},
	"web":             {"router/aggregate"},
}

// own are the rooms that a team writes. Tests, and the programs below testing,
// may import them; of the service only domain.go, which lists them.
var own = []string{"handlers/users", "projections/userlist", "projections/userstats"}

// forTests are the rooms that a room's tests may import besides; "" is of all
// rooms.
var forTests = map[string][]string{
	"":                     {"testing/certs"},
	"documents":            {"handlers", "messaging"},
	"projections/userlist": {"messaging", "router/aggregate"},
}

// standardLibraryOnly are the rooms that import no other module.
var standardLibraryOnly = []string{"handlers/users", "router/aggregate"}

func TestArrows(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	err := filepath.WalkDir("../..", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && (name == "testdata" || name == "data" || name == "bin" || len(name) > 2 && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		folder := path.Dir(strings.TrimPrefix(filepath.ToSlash(file), "../../"))
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
			if why := forbidden(from, imported, file); why != "" {
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

// forbidden says why a file of a room may not import a package, "" if it may.
func forbidden(from, imported, file string) string {
	test := strings.HasSuffix(file, "_test.go")
	ours, inModule := strings.CutPrefix(imported, module)
	if !inModule {
		domain, _, _ := strings.Cut(imported, "/")
		if slices.Contains(standardLibraryOnly, from) && strings.Contains(domain, ".") && !test {
			return from + " stands on the standard library alone"
		}
		return ""
	}
	to, _ := room(ours)
	lists := test || strings.HasPrefix(from, "testing/") || file == "../../app/domain.go"
	if to == from || slices.Contains(arrows[from], to) || lists && slices.Contains(own, to) {
		return ""
	}
	if test && (slices.Contains(forTests[""], to) || slices.Contains(forTests[from], to)) {
		return ""
	}
	return from + " may import " + cmp.Or(strings.Join(arrows[from], ", "), "no other room")
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
