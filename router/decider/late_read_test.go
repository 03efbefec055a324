package decider

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/millrace/millrace/router/decider/keys"
)

// hookedDisk calls a function once, before a scan.
type hookedDisk struct {
	Disk
	beforeScan func()
}

func (d *hookedDisk) Scan(from, to []byte, fn func(key, value []byte) error) error {
	if do := d.beforeScan; do != nil {
		d.beforeScan = nil
		do()
	}
	return d.Disk.Scan(from, to, fn)
}

// While a look-up reads a stream from disk, the fold waits for the stream, and so
// do other look-ups: one of them reads, and no batch comes between two keys.
func TestLookUpWhileTheFoldWrites(t *testing.T) {
	mended := withBrokenRule(t)
	p, log := slowProcessor(t, 128)
	tp := new(topic)
	log.take(t, p, tp.command("createUser", "u", "Ann", "one"), tp.command("breakUser", "u", "Bob", "two"), tp.command("renameUser", "u", "Cid", "three"))
	log.landAll(p)
	parked := len(log.records)
	*mended = true
	log.take(t, p, tp.command("requeueParked", "u", "", "four"))
	log.landAll(p)

	synctest.Test(t, func(t *testing.T) {
		disk := &hookedDisk{Disk: newMemDisk()}
		before := diskOpened(t, registry, 128, disk, 10_000)
		noError(before.processors[0].fold(log.records[:parked]))
		written(t, before)
		after := diskOpened(t, registry, 128, disk, 10_000)
		disk.beforeScan = func() {
			go func() {
				noError(after.processors[0].fold(log.records[parked:]))
				written(t, after)
			}()
			for range 10 {
				go after.Outcome("user/u", "three")
			}
			synctest.Wait()
		}
		if o, known := after.Outcome("user/u", "three"); !known || o.Kind == Parked {
			t.Errorf("the outcome is %+v, %v", o, known)
		}
		if disk.beforeScan != nil {
			t.Fatal("the look-up read no deferred commands")
		}
		synctest.Wait()
		if reads := after.Stats().Misses; reads != 1 {
			t.Errorf("the stream was read %d times", reads)
		}
		if o, known := after.Outcome("user/u", "three"); !known || o.Kind != Succeeded {
			t.Errorf("then the outcome is %+v, %v", o, known)
		}
		select {
		case err := <-after.broken:
			t.Errorf("the disk is said to be broken: %v", err)
		default:
		}
	})
}

// A block of outcomes that is not on disk is damage, and the error has the
// numbers that say whether a batch could have removed the block, or a scan finds what
// a look-up doesn't.
func TestLostBlock(t *testing.T) {
	t.Parallel()
	log := newFakeLog()
	s := serve(t, log)
	s.take(manyCommands(1, 40)...)
	s.drain()
	s.stop()
	disk := newMemDisk()
	before := diskOpened(t, registry, 128, disk, 10_000)
	noError(before.processors[0].fold(log.records))
	written(t, before)
	delete(disk.rows, string(keys.Numbered(nil, 0, keys.Outcomes, "user/u0", 1)))
	after := diskOpened(t, registry, 128, disk, 10_000)
	if _, known := after.Outcome("user/u0", "c3"); !known {
		t.Error("the outcome of a block that is there is unknown")
	}
	if _, known := after.Outcome("user/u0", "c20"); known {
		t.Error("an outcome is known, and not on disk")
	}
	select {
	case err := <-after.broken:
		if !errors.Is(err, errValue) || !strings.Contains(err.Error(), `block 1 of outcomes of stream "user/u0" is not there; the stream has outcomes 0 to 40`) ||
			!strings.HasSuffix(err.Error(), "a scan finds blocks [0]") {
			t.Errorf("the disk is broken: %v", err)
		}
	default:
		t.Error("nobody is told that a block is lost")
	}
}
