package house

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var goFile = regexp.MustCompile(`\b[a-z][a-z0-9_]*\.go\b`)

// A doc.go with names of files is a tour: each file of the package is named, and no
// other file.
func TestTours(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if filepath.Base(s.path) != "doc.go" || s.file.Doc == nil {
			continue
		}
		named := goFile.FindAllString(s.file.Doc.Text(), -1)
		if len(named) == 0 {
			continue
		}
		var there []string
		entries, err := os.ReadDir(filepath.Join(root, s.folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if n := e.Name(); strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") && n != "doc.go" {
				there = append(there, n)
			}
		}
		for _, name := range named {
			if !slices.Contains(there, name) {
				t.Errorf("%s names %s, which isn't there", s.path, name)
			}
		}
		for _, name := range there {
			if !slices.Contains(named, name) {
				t.Errorf("%s doesn't name %s", s.path, name)
			}
		}
	}
}
