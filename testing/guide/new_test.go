package guide

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// A service that the command new has written does what its README says, also
// with an odd name.
func TestNewService(t *testing.T) {
	t.Parallel()
	parent := filepath.Join(t.TempDir(), "millrace")
	r := newReader(t, parent)
	r.must("go run ./app new ../coffee-bar --module example.com/team/coffee-bar/v2 --aggregate purchase-order --plural PurchaseOrders --replace .")
	r.folder = filepath.Join(filepath.Dir(parent), "coffee-bar")
	before := readAll(t, r.folder)
	r.must("go mod tidy")
	r.must("make lint")
	if diff := cmp.Diff(before, readAll(t, r.folder)); diff != "" {
		t.Errorf("not tidy: %s", diff)
	}
	r.follow(filepath.Join(r.folder, "README.md"))
	r.checkCode()
	r.must("make build")
	r.checkCompose()
}

// checkCompose has the program check the settings that compose.yaml gives the
// program.
func (r *reader) checkCompose() {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.folder, "compose.yaml"))
	if err != nil {
		r.t.Fatal(err)
	}
	var compose struct {
		Services map[string]struct {
			Build       struct{ Context string }
			Environment map[string]string
		}
	}
	if err := yaml.Unmarshal(text, &compose); err != nil {
		r.t.Fatal(err)
	}
	settings := compose.Services["service"].Environment
	if len(settings) < 8 || len(compose.Services) != 3 {
		r.t.Fatalf("compose.yaml is\n%s", text)
	}
	command := "env"
	for name, value := range settings {
		command += " " + name + "='" + value + "'"
	}
	checked := r.must(command + " bin/coffee-bar config check")
	for _, want := range []string{"- query-service", "- kafka:9092", "driver: postgres", "address: 0.0.0.0:3001"} {
		if !strings.Contains(checked, want) {
			r.t.Errorf("compose.yaml sets no %s:\n%s", want, checked)
		}
	}
}

// readAll are the files of a folder, by path.
func readAll(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(folder, path))
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
