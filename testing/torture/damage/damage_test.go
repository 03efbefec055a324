package damage

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// folder is the data folder of a broker, with two partitions of a topic.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, partition := range []string{"commands-0", "commands-1", "events-0"} {
		at := filepath.Join(dir, "partitions", partition)
		if err := os.MkdirAll(at, 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "0.dat"), make([]byte, 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// sizes are the sizes of a topic's segments, and the number of bytes other than
// 0.
func sizes(t *testing.T, dir, topic string) (bytes, flipped int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "partitions", topic+"-*", "*.dat"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(content)
		for _, b := range content {
			if b != 0 {
				flipped++
			}
		}
	}
	return bytes, flipped
}

func TestDamage(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		said := map[string]bool{}
		for range 2 { // a seed always does the same
			rng := rand.New(rand.NewPCG(seed, 0))
			dir := folder(t)
			copied := t.TempDir()
			if err := Copy(dir, copied); err != nil {
				t.Fatal(err)
			}
			did, err := Flip(rng, dir, "commands")
			if n, flipped := sizes(t, dir, "commands"); err != nil || n != 2000 || flipped != 1 {
				t.Fatalf("flip: %s, %v: %d bytes, %d flipped", did, err, n, flipped)
			}
			said[did] = true
			did, err = Cut(rng, dir, "commands")
			if n, _ := sizes(t, dir, "commands"); err != nil || n >= 2000 {
				t.Fatalf("cut: %s, %v: %d bytes", did, err, n)
			}
			said[did] = true
			if err := Older(dir, copied, "commands"); err != nil {
				t.Fatal(err)
			}
			if n, flipped := sizes(t, dir, "commands"); n != 2000 || flipped != 0 {
				t.Fatalf("an older copy: %d bytes, %d flipped", n, flipped)
			}
			if did, err := Empty(rng, dir, "commands"); err != nil || did == "" {
				t.Fatal(did, err)
			}
			if n, _ := sizes(t, dir, "commands"); n > 1000 {
				t.Fatalf("emptied: %d bytes", n)
			}
			if n, flipped := sizes(t, dir, "events"); n != 1000 || flipped != 0 {
				t.Fatal("another topic is damaged")
			}
		}
		if len(said) != 2 {
			t.Errorf("seed %d does %v", seed, said)
		}
	}
}

// A state store has a file less, or a file with other bytes.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		dir := t.TempDir()
		state := filepath.Join(dir, "services", "data", "state")
		if err := os.MkdirAll(state, 0o750); err != nil {
			t.Fatal(err)
		}
		for name, content := range map[string]string{"LOCK": "", "000004.sst": "xxxxxxxxxx", "MANIFEST-000001": "xxxxxxxxxx"} {
			if err := os.WriteFile(filepath.Join(state, name), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		did, err := State(rand.New(rand.NewPCG(seed, 0)), dir)
		whole := 0
		for _, name := range []string{"000004.sst", "MANIFEST-000001"} {
			if content, err := os.ReadFile(filepath.Join(state, name)); err == nil && string(content) == "xxxxxxxxxx" {
				whole++
			}
		}
		if err != nil || whole != 1 {
			t.Fatalf("seed %d: %s, %v: %d files are whole", seed, did, err, whole)
		}
		if err := RemoveStates(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(state); err == nil {
			t.Fatal("the state store is still there")
		}
	}
}
