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

// RemoveStates removes the state stores of command services, below a folder.
func RemoveStates(dir string) error {
	return eachState(dir, os.RemoveAll)
}

// State harms a file of each state store below a folder, and says how: the file is
// cut, changed, or gone.
func State(rng *rand.Rand, dir string) (string, error) {
	var did []string
	err := eachState(dir, func(state string) error {
		what, err := harmOne(rng, state)
		did = append(did, what)
		return err
	})
	if err == nil && len(did) == 0 {
		err = fmt.Errorf("%w: no state store in %s", ErrNothing, dir)
	}
	return strings.Join(did, ", "), err
}

// eachState does something to the folders of state stores.
func eachState(dir string, do func(state string) error) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() || entry.Name() != "state" {
			return err
		}
		if err := do(path); err != nil {
			return err
		}
		return fs.SkipDir
	})
}

// harmOne harms one of the files with content.
func harmOne(rng *rand.Rand, dir string) (string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		return "", err
	}
	rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		if len(content) == 0 {
			continue
		}
		at, name := rng.IntN(len(content)), filepath.Base(path)
		switch rng.IntN(4) {
		case 0:
			return fmt.Sprintf("%s cut at byte %d of %d", name, at, len(content)), os.Truncate(path, int64(at))
		case 1:
			content[at] ^= 1 << rng.IntN(8)
			return fmt.Sprintf("a bit of byte %d of %d of %s", at, len(content), name), os.WriteFile(path, content, 0o600)
		case 2:
			clear(content[at:])
			return fmt.Sprintf("zeros from byte %d of %d of %s", at, len(content), name), os.WriteFile(path, content, 0o600)
		default:
			return name + " gone", os.Remove(path)
		}
	}
	return "", fmt.Errorf("%w: %s is empty", ErrNothing, dir)
}
