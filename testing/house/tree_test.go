// Package house has the tests of the tree itself: imports between packages, sizes of
// files and packages, modules, documents, and the words of comments.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// root is the top of the tree, seen from here.
const root = "../.."

const module = "github.com/millrace/millrace"

// source is a Go file of the tree.
type source struct {
	path   string // from the top, with slashes
	folder string
	test   bool
	file   *ast.File
	set    *token.FileSet
	lines  int
}

// sources are all Go files of the tree, with the files of nested modules.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if base == "testdata" || base == "data" || base == "bin" || base == "node_modules" || len(base) > 2 && strings.HasPrefix(base, ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		if ast.IsGenerated(file) {
			return nil
		}
		from := filepath.ToSlash(strings.TrimPrefix(filepath.ToSlash(name), root+"/"))
		all = append(all, source{
			path: from, folder: path.Dir(from), test: strings.HasSuffix(base, "_test.go"),
			file: file, set: set, lines: set.File(file.Pos()).LineCount(),
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d Go files were found", len(all))
	}
	return all
}

// imports are the imported paths of a file.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		paths = append(paths, strings.Trim(spec.Path.Value, `"`))
	}
	return paths
}
