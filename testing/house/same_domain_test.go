package house

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The service under test is the shipped service: a program can't be imported, so
// tests have copies of its list of parts.
func TestCopiesOfTheDomain(t *testing.T) {
	t.Parallel()
	list := func(file string) string {
		text, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		_, parts, _ := strings.Cut(string(text), "\nvar domain = ")
		return strings.ReplaceAll(parts, "service.", "")
	}
	want := list("app/domain.go")
	for _, file := range []string{"router/service/domain_test.go", "testing/console/domain_test.go", "testing/openapi/domain_test.go"} {
		if got := list(file); got != want {
			t.Errorf("%s differs from app/domain.go:\n%s\nwant\n%s", file, got, want)
		}
	}
}
