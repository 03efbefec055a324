package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// text is a file, line by line.
type text struct {
	path  string
	lines []string
}

// textsOf are the sources of a program in a folder: Go without tests, and embedded
// files.
func textsOf(t *testing.T, folder string) []text {
	t.Helper()
	var all []text
	err := filepath.WalkDir(filepath.Join(root, folder), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "testdata" || strings.HasSuffix(entry.Name(), "test") {
				return filepath.SkipDir
			}
			return nil
		}
		switch ext := filepath.Ext(name); {
		case ext == ".go" && !strings.HasSuffix(name, "_test.go"), ext == ".yaml", ext == ".sql":
		default:
			return nil
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		all = append(all, text{strings.TrimPrefix(filepath.ToSlash(name), root+"/"), strings.Split(string(content), "\n")})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
