package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// A mutant whose place in the code has changed would say nothing any more.
func TestMutantsFitTheTree(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("patch"); err != nil {
		t.Skip("needs patch")
	}
	patches, err := filepath.Glob("testdata/mutants/*.patch")
	patches = append(patches, "testdata/mixed.patch", "testdata/poison.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("%d patches, %v", len(patches), err)
	}
	for _, patch := range patches {
		path, err := filepath.Abs(patch)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "patch", "-p1", "--dry-run", "--forward", "-i", path)
		cmd.Dir = top
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", patch, err, out)
		}
	}
}
