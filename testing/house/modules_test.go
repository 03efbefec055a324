package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// nested are the modules below the top, by folder.
var nested = []string{"examples/bank", "examples/hello", "testing/console", "testing/openapi", "testing/torture"}

// heavy are modules for nested modules only: another team's module that imports
// Millrace must not get heavy modules.
var heavy = []string{"github.com/Shopify/toxiproxy", "github.com/anishathalye/porcupine", "github.com/chromedp/", "github.com/pb33f/"}

var requirement = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)(?: // indirect)?$`)

// requirements are the modules of a go.mod, with their versions.
func requirements(t *testing.T, folder string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]string{}
	for _, found := range requirement.FindAllStringSubmatch(string(text), -1) {
		versions[found[1]] = found[2]
	}
	if len(versions) == 0 {
		t.Fatalf("no module was found in the go.mod of %q", folder)
	}
	return versions
}

// The module at the top has no heavy modules, every module of the tree has the
// same version of a module, and make visits all modules.
func TestModules(t *testing.T) {
	t.Parallel()
	ours := requirements(t, ".")
	for name := range ours {
		for _, prefix := range heavy {
			if strings.HasPrefix(name, prefix) {
				t.Errorf("%s is in go.mod: a module that imports Millrace gets it", name)
			}
		}
	}
	for _, folder := range nested {
		for name, version := range requirements(t, folder) {
			if at, shared := ours[name]; shared && at != version {
				t.Errorf("%s/go.mod has %s %s, go.mod has %s", folder, name, version, at)
			}
		}
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if line := "MODULES := . " + strings.Join(nested, " ") + "\n"; !strings.Contains(string(makefile), line) {
		t.Errorf("Makefile has no line %q", line)
	}
	found, err := filepath.Glob(filepath.Join(root, "*", "*", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != len(nested) {
		t.Errorf("nested modules are %v, and the list has %v", found, nested)
	}
}

// A test that looks at -short is in the list of the Makefile, because make
// test-all runs such a test without -short from this list only.
func TestUnderLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "router", "service", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, function := range strings.Split(string(text), "\nfunc ") {
			name, body, _ := strings.Cut(function, "(")
			if strings.HasPrefix(name, "Test") && (strings.Contains(body, "\tunderLoad(t)\n") || strings.Contains(body, "testing.Short()")) {
				found = append(found, name)
			}
		}
	}
	slices.Sort(found)
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if line := "UNDER_LOAD := " + strings.Join(found, "|") + "\n"; !strings.Contains(string(makefile), line) {
		t.Errorf("Makefile has no line %q", line)
	}
}
