package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A mutant whose place in the code has changed would say nothing any more, and
// a mutant that doesn't build can't run. With -short, nothing is built.
func TestMutantsFitTheTree(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("needs patch")
	}
	patches, err := filepath.Glob("testdata/mutants/*.patch")
	patches = append(patches, "testdata/mixed.patch", "testdata/poison.patch", "testdata/poison-bank.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	for _, patch := range patches {
		t.Run(strings.TrimSuffix(filepath.Base(patch), ".patch"), func(t *testing.T) {
			t.Parallel()
			tree := t.TempDir()
			files := patched(t, patch, tree)
			if !testing.Short() {
				buildOverlaid(t, tree, files)
			}
		})
	}
}

var patchedFile = regexp.MustCompile(`(?m)^\+\+\+ b/(\S+)`)

// patched copies the files that a patch changes to another tree, and patches the
// copies.
func patched(t *testing.T, patch, tree string) (files []string) {
	t.Helper()
	text, err := os.ReadFile(patch)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range patchedFile.FindAllStringSubmatch(string(text), -1) {
		file := match[1]
		content, err := os.ReadFile(filepath.Join(top, file))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(tree, filepath.Dir(file)), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(tree, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	cmd := exec.CommandContext(t.Context(), "patch", "-p1", "--forward")
	cmd.Dir, cmd.Stdin = tree, strings.NewReader(string(text))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return files
}

// buildOverlaid builds the packages of some files, with the files of another tree
// in place of the tree's.
func buildOverlaid(t *testing.T, tree string, files []string) {
	t.Helper()
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	packages := map[string]bool{} // folders: of examples/bank too, another module
	for _, file := range files {
		original, err := filepath.Abs(filepath.Join(top, file))
		if err != nil {
			t.Fatal(err)
		}
		overlay.Replace[original] = filepath.Join(tree, file)
		packages[filepath.Dir(original)] = true
	}
	content, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(tree, "overlay.json")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for folder := range packages {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "-overlay", path, ".")
		cmd.Dir = folder
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}
