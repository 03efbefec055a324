package house

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// nested are the modules below the top, by folder.
var nested = []string{"examples/hello", "testing/openapi", "testing/torture"}

// heavy are modules for nested modules only: another team's module that imports
// Millrace must not get heavy modules.
var heavy = []string{"github.com/Shopify/toxiproxy", "github.com/anishathalye/porcupine", "github.com/pb33f/"}

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
