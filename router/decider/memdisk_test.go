package decider

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
)

// memDisk is a disk in memory that can crash, and fail.
type memDisk struct {
	mu      sync.Mutex
	rows    map[string][]byte // as written
	durable map[string][]byte // as flushed
	since   [][]change        // the writes since
	gets    int
	fail    func(deed string) error // nil for no failure
}

func newMemDisk() *memDisk { return &memDisk{rows: map[string][]byte{}, durable: map[string][]byte{}} }

func (d *memDisk) failure(deed string) error {
	if d.fail == nil {
		return nil
	}
	return d.fail(deed)
}

func (d *memDisk) Get(key []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gets++
	return bytes.Clone(d.rows[string(key)]), d.failure("get")
}

func (d *memDisk) Scan(from, to []byte, fn func(key, value []byte) error) error {
	d.mu.Lock()
	err := d.failure("scan")
	var all []change
	for key, value := range d.rows {
		if key >= string(from) && key < string(to) {
			all = append(all, change{[]byte(key), value})
		}
	}
	d.mu.Unlock()
	slices.SortFunc(all, func(a, b change) int { return bytes.Compare(a.key, b.key) })
	for i := 0; i < len(all) && err == nil; i++ {
		err = fn(all[i].key, all[i].value)
	}
	return err
}

func (d *memDisk) Write(changes iter.Seq2[[]byte, []byte]) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failure("write"); err != nil {
		return err
	}
	var all []change
	for key, value := range changes {
		all = append(all, change{bytes.Clone(key), bytes.Clone(value)})
	}
	apply(d.rows, all)
	d.since = append(d.since, all)
	return nil
}

func apply(rows map[string][]byte, changes []change) {
	for _, c := range changes {
		if c.value == nil {
			delete(rows, string(c.key))
		} else {
			rows[string(c.key)] = c.value
		}
	}
}

func (d *memDisk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.failure("flush"); err != nil {
		return err
	}
	d.durable, d.since = maps.Clone(d.rows), nil
	return nil
}

func (d *memDisk) Clear() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rows, d.durable, d.since = map[string][]byte{}, map[string][]byte{}, nil
	return nil
}

// crashed is the disk after a crash that has kept so many of the writes since
// the last flush.
func (d *memDisk) crashed(kept func(writes int) int) *memDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := &memDisk{durable: maps.Clone(d.durable)}
	for _, changes := range d.since[:kept(len(d.since))] {
		apply(after.durable, changes)
	}
	after.rows = maps.Clone(after.durable)
	return after
}

// diskOpened is a state store of one partition on a disk, without a log, and
// with all that is on the disk.
func diskOpened(t *testing.T, of *aggregate.Registry, remember int, disk Disk, memory int64) *StateStore {
	t.Helper()
	ss := NewStateStore(nil, of, 1, remember, slog.New(slog.DiscardHandler))
	ss.KeepOn(disk, memory, nil)
	was, metas, err := ss.readMeta()
	if err == nil && was == nil {
		err = ss.writeMeta(t.Context(), ss.metaNow())
	}
	if err != nil {
		t.Fatal(err)
	}
	ss.processors[0].open(&metas[0])
	return ss
}

// written writes what has changed to the disk of a state store.
func written(t *testing.T, ss *StateStore) {
	t.Helper()
	if _, err := ss.writeBatch(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// noError panics if the disk can't be trusted: the disks of most tests can.
func noError(err error) {
	if err != nil {
		panic(err)
	}
}
