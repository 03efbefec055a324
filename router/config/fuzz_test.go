package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzLoad feeds files to Load. No file makes Load panic, every problem is one
// line, and flags take the values that a file can set.
func FuzzLoad(f *testing.F) {
	f.Add(Default().Masked())
	for _, seed := range []string{
		"", "---\n---\na: 1\n", "kafka: {partitions: 3, brokers: [a:1, 'b:2']}\n", "kafka:\n  partitions: 0x10\n",
		"a: &b 1\nc: *b\n<<: *b\n", "? data_dir\n: x\n", "data_dir: |\n  x\n", "data_dir: \"\\u0000\"\n", "data_dir: |-\n   x\n  y\n",
		"%YAML 1.2\n---\nroles: [broker]\n...\n", "roles: [broker, broker]\nroles: []\n", "store:\n\tdriver: memory\n", "- a\n", "\"a\\nb\": 1\n",
		"store: {sqlite: {path: ' x '}}\n", "data_dir: '\n\n  x'\n", "data_dir: !!binary aGk=\n",
	} {
		f.Add(seed)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		if strings.Contains(content, "url") {
			return // a file of the machine's, or a secret that text hides
		}
		path := filepath.Join(folder, "c.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, nil, nil, Service{})
		if err != nil {
			if lines, want := strings.Count(err.Error(), "\n")+1, len(listed(err)); lines != want {
				t.Fatalf("%d problems in %d lines:\n%v", want, lines, err)
			}
			return
		}
		flags := map[string]string{}
		for _, f := range fields {
			flags[f.Name] = text(f.of(&c))
		}
		again, err := Load("", nil, flags, Service{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatalf("(-file +flags):\n%s", diff)
		}
	})
}
