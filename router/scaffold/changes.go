package scaffold

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Written says what was written.
type Written struct {
	// Command and Event are the message types of a new command or reaction, and
	// Reaction is the reaction's name. Missing are the members of a reaction's
	// command that the event doesn't have.
	Command, Event, Reaction string
	Missing                  []string
	// Created and Changed are files, with slashes, from the folder of the service.
	Created, Changed []string
	// ByHand are lines for files whose place for the lines was not found.
	ByHand []ByHand
}

// ByHand is a place for people to change.
type ByHand struct {
	File  string
	Where string // such as: in the list Aggregates
	Lines []string
}

// changes are the files to write, by path with slashes.
type changes struct {
	root   string
	create map[string]string
	change map[string]string
	byHand []ByHand
}

func newChanges(root string) *changes {
	return &changes{root: root, create: map[string]string{}, change: map[string]string{}}
}

// write writes the files. No file is written if one of the new files is there
// already.
func (c *changes) write() (Written, error) {
	w := Written{Created: slices.Sorted(maps.Keys(c.create)), Changed: slices.Sorted(maps.Keys(c.change)), ByHand: c.byHand}
	for _, path := range w.Created {
		if _, err := os.Lstat(c.at(path)); err == nil {
			return Written{}, fmt.Errorf("%s is there already; nothing was written", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return Written{}, err
		}
	}
	for _, path := range w.Created {
		if err := os.MkdirAll(filepath.Dir(c.at(path)), 0o755); err != nil {
			return Written{}, err
		}
		if err := os.WriteFile(c.at(path), []byte(c.create[path]), 0o644); err != nil { //nolint:gosec // source code, for everybody who may read the folder
			return Written{}, err
		}
	}
	for _, path := range w.Changed {
		if err := c.replace(path); err != nil {
			return Written{}, err
		}
	}
	return w, nil
}

// replace writes a file beside the old file first, so that no half file stays.
func (c *changes) replace(path string) error {
	info, err := os.Stat(c.at(path))
	if err != nil {
		return err
	}
	beside := c.at(path) + ".new"
	if err := os.WriteFile(beside, []byte(c.change[path]), info.Mode().Perm()); err != nil {
		return err
	}
	return os.Rename(beside, c.at(path))
}

func (c *changes) at(path string) string { return filepath.Join(c.root, filepath.FromSlash(path)) }

// appendLine adds a line at the end of a file, if the file is there.
func (c *changes) appendLine(path, line string) error {
	text, err := os.ReadFile(c.at(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	end := ""
	if len(text) > 0 && !strings.HasSuffix(string(text), "\n") {
		end = "\n"
	}
	c.change[path] = string(text) + end + line + "\n"
	return nil
}
