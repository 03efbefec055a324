// Package damage harms the files of the embedded broker, as disks, power cuts
// and restored copies do.
package damage

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNothing is the error of a damage without a file to damage.
var ErrNothing = errors.New("there is nothing to damage")

// Segments are the files of a topic with content, below the data folder of a
// broker, in order.
func Segments(dir, topic string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, "partitions", topic+"-*", "*.dat"))
	if err != nil {
		return nil, err
	}
	slices.Sort(all)
	return slices.DeleteFunc(all, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Size() == 0
	}), nil
}

// some picks one or more of a topic's segments.
func some(rng *rand.Rand, dir, topic string) ([]string, error) {
	all, err := Segments(dir, topic)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: topic %s", ErrNothing, topic)
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+rng.IntN(len(all))], nil
}

// each does something to some segments of a topic, and says which.
func each(rng *rand.Rand, dir, topic string, do func(path string, size int64) (string, error)) (string, error) {
	paths, err := some(rng, dir, topic)
	if err != nil {
		return "", err
	}
	var did []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		what, err := do(path, info.Size())
		if err != nil {
			return "", err
		}
		did = append(did, fmt.Sprintf("%s of %s", what, filepath.Base(filepath.Dir(path))))
	}
	return strings.Join(did, ", "), nil
}

// Cut cuts the end off some segments of a topic: at least a byte each, and
// sometimes all.
func Cut(rng *rand.Rand, dir, topic string) (string, error) {
	return each(rng, dir, topic, func(path string, size int64) (string, error) {
		keep := rng.Int64N(size)
		if rng.IntN(2) == 0 {
			keep = size - 1 - rng.Int64N(max(1, size/20))
		}
		return fmt.Sprintf("%d of %d bytes", size-keep, size), os.Truncate(path, keep)
	})
}

// Empty empties some segments of a topic.
func Empty(rng *rand.Rand, dir, topic string) (string, error) {
	return each(rng, dir, topic, func(path string, _ int64) (string, error) { return "all", os.Truncate(path, 0) })
}

// Flip flips a bit in a segment of a topic.
func Flip(rng *rand.Rand, dir, topic string) (string, error) {
	paths, err := some(rng, dir, topic)
	if err != nil {
		return "", err
	}
	path := paths[0]
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	at := rng.IntN(len(content))
	content[at] ^= 1 << rng.IntN(8)
	return fmt.Sprintf("byte %d of %d of %s", at, len(content), filepath.Base(filepath.Dir(path))), os.WriteFile(path, content, 0o600)
}

// Older puts the files of a topic from a copy of the folder in the place of the
// present files.
func Older(dir, copied, topic string) error {
	present, err := filepath.Glob(filepath.Join(dir, "partitions", topic+"-*"))
	if err != nil {
		return err
	}
	for _, folder := range present {
		if err := os.RemoveAll(folder); err != nil {
			return err
		}
	}
	old, err := filepath.Glob(filepath.Join(copied, "partitions", topic+"-*"))
	if err != nil {
		return err
	}
	for _, folder := range old {
		if err := Copy(folder, filepath.Join(dir, "partitions", filepath.Base(folder))); err != nil {
			return err
		}
	}
	return nil
}

// Copy makes a copy of a folder, also while a broker writes to the folder.
func Copy(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a temporary file
			}
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(filepath.Join(to, rest), 0o750)
		}
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rest), content, 0o600)
	})
}

// RemoveStates removes the state stores of all command services in a folder.
func RemoveStates(dir string) error {
	states, err := filepath.Glob(filepath.Join(dir, "*", "data", "state"))
	if err != nil {
		return err
	}
	for _, state := range states {
		if err := os.RemoveAll(state); err != nil {
			return err
		}
	}
	return nil
}
