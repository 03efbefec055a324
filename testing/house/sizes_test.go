package house

import "testing"

const (
	// maxLines is how long a file may be.
	maxLines = 400
	// maxFiles is how many files a package may have, tests aside.
	maxFiles = 25
)

// large are the packages with more files: the roof wires all other packages.
var large = map[string]bool{"router/service": true}

func TestSizes(t *testing.T) {
	t.Parallel()
	files := map[string]int{}
	for _, s := range sources(t) {
		if s.lines > maxLines {
			t.Errorf("%s has %d lines, and may have %d", s.path, s.lines, maxLines)
		}
		if !s.test {
			files[s.folder]++
		}
	}
	for folder, n := range files {
		if n > maxFiles && !large[folder] {
			t.Errorf("package %s has %d files, and may have %d", folder, n, maxFiles)
		}
	}
}
