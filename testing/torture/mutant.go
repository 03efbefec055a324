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

// patches is the folder of the patches. Each patch in mutants breaks a rule.
const patches = "testdata"

// mixed is the patch for a binary of another version, with other records. The
// patch breaks no rule.
const mixed = "mixed"

// buildPatched builds the program with patches, in a copy of the tree.
func (p plan) buildPatched(ctx context.Context, names ...string) (string, error) {
	name := strings.ReplaceAll(strings.Join(names, "-"), "/", "-")
	tree := filepath.Join(p.dir, "tree-"+name)
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
	return p.build(ctx, tree, "millrace-"+name)
}

// copyTree copies the sources of the program.
func copyTree(to string) error {
	from := os.DirFS(top)
	return fs.WalkDir(from, ".", func(path string, entry fs.DirEntry, err error) error {
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
		content, err := fs.ReadFile(from, path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), content, 0o600)
	})
}
