package sqlstore

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// longRead is the size of a test with a reader that keeps its view: with FULL=1
// of 200,000 updates and five minutes, and the limits of production.
func longRead() (limits walLimits, updates int, reads time.Duration) {
	if os.Getenv("FULL") != "" {
		return sqliteWAL, 200_000, 5 * time.Minute
	}
	return walLimits{pages: 256, bytes: 2 << 20, rest: time.Hour}, 2000, 0
}

func walSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// While a reader keeps its view the WAL grows. Afterwards the WAL is within its
// bound again, also without further updates; nothing is lost, and updates are as
// fast as before.
func TestAReaderThatKeepsItsView(t *testing.T) {
	limits, updates, reads := longRead()
	path := filepath.Join(t.TempDir(), "read.db")
	s, err := openSQLiteFile(t.Context(), path, limits)
	opened(t, s, err)
	reader := sqliteReader(t, path)
	p := people()
	prepared(t, s, p)
	next := int64(0)
	write := func(n int) time.Duration { // returns the median
		var took []time.Duration
		for range n {
			began := time.Now()
			row := person(fmt.Sprint(next % 5000))
			row[1] = strings.Repeat("x", 1000) + fmt.Sprint(next)
			err := s.Update(t.Context(), p, from(at(0, next), at(0, next+1)), nil, func(tx readmodel.Tx) error {
				return tx.Put(t.Context(), "person", []projection.Row{row})
			})
			if err != nil {
				t.Fatal(err)
			}
			next++
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took[n/2]
	}
	before := write(updates / 4)
	began := time.Now()
	var largest int64
	err = reader.View(t.Context(), p, func(v readmodel.View) error {
		seen, err := askIn[int64](t.Context(), v, "SELECT count(*) FROM {person}")
		if err != nil {
			return err
		}
		write(updates)
		time.Sleep(reads - time.Since(began))
		largest = walSize(t, path)
		again, err := askIn[int64](t.Context(), v, "SELECT count(*) FROM {person}")
		if err == nil && seen[0] != again[0] {
			t.Errorf("the view had %d rows, and has %d", seen[0], again[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if largest <= limits.bytes {
		t.Fatalf("the WAL had %d bytes only: the test shows nothing", largest)
	}
	shrunk := time.Now()
	for walSize(t, path) > limits.bytes {
		if time.Since(shrunk) > time.Minute {
			t.Fatalf("after the reader the WAL has %d bytes", walSize(t, path))
		}
		time.Sleep(10 * time.Millisecond)
	}
	took := time.Since(shrunk)
	after := write(updates / 4)
	t.Logf("the WAL grew to %d MiB, and shrank within %v; an update took %v before and %v after", largest>>20, took, before, after)
	if after > 10*before+10*time.Millisecond {
		t.Errorf("an update took %v before, and takes %v", before, after)
	}
	if got := ask[string](t, reader, p, "SELECT name FROM {person} WHERE id = $1", fmt.Sprint((next-1)%5000)); len(got) != 1 || !strings.HasSuffix(got[0], fmt.Sprint("x", next-1)) {
		t.Errorf("the last row is %.20q", got)
	}
	if got := len(ids(t, s, p)); got != int(min(next, 5000)) {
		t.Errorf("%d rows", got)
	}
}

// sqliteReader is a store of another process.
func sqliteReader(t *testing.T, path string) *Store {
	t.Helper()
	s, err := OpenSQLite(t.Context(), path)
	return opened(t, s, err)
}

// Without a long reader the WAL stays within its bound under steady updates and
// short reads.
func TestTheWALStartsAgainUnderUpdates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "read.db")
	limits := walLimits{pages: 64, bytes: 1 << 20, rest: time.Hour}
	s, err := openSQLiteFile(t.Context(), path, limits)
	opened(t, s, err)
	p := people()
	prepared(t, s, p)
	reader := sqliteReader(t, path)
	reading, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(reading)
		for {
			select {
			case <-stop:
				return
			default:
				_ = checkpoints(t, reader, p)
			}
		}
	}()
	written := int64(0)
	for began := time.Now(); written < 6*limits.bytes || time.Since(began) < time.Second; {
		row := person(fmt.Sprint(written % 100))
		row[1] = strings.Repeat("x", 20_000)
		put(t, s, p, "person", row)
		written += 20_000
		if size := walSize(t, path); size > 4*limits.bytes {
			t.Fatalf("after %d bytes the WAL has %d", written, size)
		}
		time.Sleep(time.Millisecond) // 20 MB/s
	}
	close(stop)
	<-reading
}

// freeCaches gives the memory of SQLite's page caches back.
func TestCachesAreFreed(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs Linux's /proc")
	}
	limits := sqliteWAL
	limits.rest = time.Hour
	s, err := openSQLiteFile(t.Context(), filepath.Join(t.TempDir(), "read.db"), limits)
	opened(t, s, err)
	p := people()
	prepared(t, s, p)
	for n := range 8 { // 80 MB, of which the cache keeps 32
		var rows []projection.Row
		for i := range 10_000 {
			row := person(fmt.Sprint(n*10_000 + i))
			row[1] = strings.Repeat("x", 1000)
			rows = append(rows, row)
		}
		put(t, s, p, "person", rows...)
	}
	debug.FreeOSMemory()
	full := resident(t)
	s.wal.freeCaches(t.Context())
	if rest := resident(t); rest > full-16<<20 {
		t.Errorf("%d MiB at first, and %d at rest", full>>20, rest>>20)
	}
}

// resident is the resident memory of this process that belongs to no file.
func resident(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(status), "RssAnon:")
	var kilobytes int64
	if _, err := fmt.Sscan(text, &kilobytes); err != nil {
		t.Fatal(err)
	}
	return kilobytes << 10
}
