package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// patches is where the patches are, from the top of the tree: what breaks a rule
// in mutants, and mixed, which breaks none.
const patches = "testing/torture/testdata"

// mixed is what makes a binary as another version might be: its records differ.
const mixed = "mixed"

// buildPatched builds the program with patches, in a copy of the tree.
func buildPatched(ctx context.Context, dir string, names ...string) (string, error) {
	name := strings.ReplaceAll(strings.Join(names, "-"), "/", "-")
	tree := filepath.Join(dir, "tree-"+name)
	if err := copyTree(tree); err != nil {
		return "", fmt.Errorf("copy the tree: %w", err)
	}
	for _, name := range names {
		patch, err := filepath.Abs(filepath.Join(patches, name+".patch"))
		if err != nil {
			return "", err
		}
		cmd := exec.CommandContext(ctx, "patch", "-p1", "--silent", "--forward", "-i", patch)
		cmd.Dir = tree
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("patch %s: %w\n%s", name, err, out)
		}
	}
	return build(ctx, tree, dir, "millrace-"+name)
}

// copyTree copies what the program is built from.
func copyTree(to string) error {
	return filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if name == "data" || name == "bin" || name == "testing" || len(name) > 1 && strings.HasPrefix(name, ".") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, path), 0o750)
		}
		if !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), content, 0o600)
	})
}
