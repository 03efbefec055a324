package house

import (
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
	link     = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	testName = regexp.MustCompile(`^(Test|Fuzz|Benchmark)[A-Z]\w*$`)
	pathName = regexp.MustCompile(`^[\w.*-]+(/[\w.*-]+)*(/|\.(go|yaml|md|sql|golden|txtar))$`)
	heading  = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// The tests, files, folders and headings that the documents name are there, and
// Go in the documents is formatted.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	for _, s := range sources(t) {
		for name := range s.file.Scope.Objects {
			tests[name] = tests[name] || s.test && testName.MatchString(name)
		}
	}
	for _, file := range documents(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		there := func(name string) bool {
			for _, from := range []string{root, filepath.Dir(file)} {
				if found, err := filepath.Glob(filepath.Join(from, name)); err == nil && len(found) > 0 {
					return true
				}
			}
			return false
		}
		for _, code := range goFences(string(content)) {
			if formatted, err := format.Source([]byte(code)); err != nil || string(formatted) != code {
				t.Errorf("%s: not gofmt'ed (%v):\n%s", file, err, code)
			}
		}
		for _, span := range codeSpan.FindAllStringSubmatch(string(content), -1) {
			switch name := span[1]; {
			case testName.MatchString(name) && !tests[name]:
				t.Errorf("%s names %s, and there is no such test", file, name)
			case pathName.MatchString(name) && !there(name) && !isGuide(file):
				t.Errorf("%s names %s, which is not there", file, name)
			}
		}
		for _, to := range link.FindAllStringSubmatch(string(content), -1) {
			target := filepath.Join(filepath.Dir(file), to[1])
			if to[1] == "" {
				target = file
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s has a link to %s, which is not there", file, to[1])
				continue
			}
			if to[2] != "" && !slices.Contains(anchors(t, target), to[2]) {
				t.Errorf("%s has a link to %s%s, and there is no such heading", file, to[1], to[2])
			}
		}
	}
}

// isGuide says whether a document names files of its reader's own.
func isGuide(file string) bool {
	return strings.HasSuffix(file, "your-own-service.md") || strings.Contains(filepath.ToSlash(file), "/examples/")
}

// documents are all Markdown files of the tree.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && (base == "testdata" || base == "data" || base == "bin" || base == "node_modules" || len(base) > 2 && strings.HasPrefix(base, ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(base, ".md") {
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// goFences are the fences of Go in a document.
func goFences(text string) (fences []string) {
	for i, part := range strings.Split(text, "\n```") {
		if code, isGo := strings.CutPrefix(part, "go\n"); i > 0 && isGo {
			fences = append(fences, code+"\n")
		}
	}
	return fences
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are the headings of a document, as links name them.
func anchors(t *testing.T, file string) (all []string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range heading.FindAllStringSubmatch(string(content), -1) {
		text := notInAnchors.ReplaceAllString(strings.ToLower(h[1]), "")
		all = append(all, "#"+strings.ReplaceAll(text, " ", "-"))
	}
	return all
}
