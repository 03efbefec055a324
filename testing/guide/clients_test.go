package guide

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// The clients of docs/clients.md are made, and do what the document says.
func TestClients(t *testing.T) { followWithPackages(t, "examples/clients", "clients.md") }

// The consumers of docs/public-topics.md are made, and do what the document says.
func TestConsumers(t *testing.T) { followWithPackages(t, "examples/consumers", "public-topics.md") }

// followWithPackages follows a document whose examples need packages of Node.js or
// Python.
func followWithPackages(t *testing.T, examples, document string) {
	t.Helper()
	if os.Getenv("CLIENTS_TEST") == "" {
		t.Skip("make test-clients runs this: needs Node.js, Python and their packages")
	}
	clone := t.TempDir()
	for _, folder := range []string{"docs", examples} {
		if err := os.CopyFS(filepath.Join(clone, folder), tracked(t, folder)); err != nil {
			t.Fatal(err)
		}
	}
	newReader(t, clone).follow(filepath.Join(top, "docs", document))
}

// tracked are the files of a folder of the checkout, without the generated ones.
func tracked(t *testing.T, folder string) fs.FS {
	t.Helper()
	list := exec.Command("git", "ls-files", "--cached", "--others", "--exclude-standard", ".")
	list.Dir = filepath.Join(top, folder)
	names, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, name := range strings.Fields(string(names)) {
		text, err := os.ReadFile(filepath.Join(list.Dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text, Mode: 0o644}
	}
	return files
}
