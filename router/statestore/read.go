package statestore

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Get returns the value of a key in a slice of the caller's own, nil if there is
// no such key. After an error the store can't be trusted: if files are damaged,
// the next Open deletes the store.
func (s *Store) Get(key []byte) (value []byte, err error) {
	// A plain Get of Pebble doesn't use the filters of the last level, where most
	// keys are: a key that is absent would cost a block of the disk.
	err = s.read(&pebble.IterOptions{UseL6Filters: true}, func(it *pebble.Iterator) error {
		if !it.SeekPrefixGE(key) {
			return nil
		}
		found, err := it.ValueAndErr()
		if err == nil {
			value = append(make([]byte, 0, len(found)), found...)
		}
		return err
	})
	return value, err
}

// Scan calls a function for the keys from a key on and before another, in order,
// in one view of the store. Key and value are valid until the function returns.
// The function's error ends the scan, and is returned as it is. After another
// error the store can't be trusted, as after an error of Get.
func (s *Store) Scan(from, to []byte, fn func(key, value []byte) error) error {
	var failed error
	err := s.read(&pebble.IterOptions{LowerBound: from, UpperBound: to}, func(it *pebble.Iterator) error {
		for ok := it.First(); ok && failed == nil; ok = it.Next() {
			value, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			failed = fn(it.Key(), value)
		}
		return nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// read opens an iterator, and takes the errors of all reads.
func (s *Store) read(options *pebble.IterOptions, do func(*pebble.Iterator) error) error {
	it, err := s.db.NewIter(options)
	if err == nil {
		err = do(it)
		if failed := it.Error(); err == nil {
			err = failed
		}
		if failed := it.Close(); err == nil {
			err = failed
		}
	}
	if err == nil {
		return nil
	}
	s.failed.note(err)
	return fmt.Errorf("read the state store: %w", &failureError{oneLine(err), err})
}
