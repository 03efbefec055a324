package statestore

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// ErrFull is returned while the disk is full. Nothing is lost; the store goes on
// by itself when there is room.
var ErrFull = errors.New("the disk of the state store is full")

// Write applies changes at once: a crash leaves all changes or none. A nil value
// deletes the key. Reads see the changes when Write returns; the changes are on
// the disk after a [Store.Flush]. Keys and values belong to the caller again
// when the iterator goes on. After an error nothing is applied. The error is
// [ErrFull], or the store has failed.
func (s *Store) Write(changes iter.Seq2[[]byte, []byte]) error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.Full() {
		return ErrFull
	}
	batch := s.db.NewBatch()
	for key, value := range changes {
		var err error
		if value == nil {
			err = batch.Delete(key, nil)
		} else {
			err = batch.Set(key, value, nil)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("write to the state store: %w", err), batch.Close())
		}
	}
	// Pebble's error for a sync without a write-ahead log is avoided by NoSync.
	if err := s.failed.unlessStuck(func() error { return s.db.Apply(batch, pebble.NoSync) }); err != nil {
		return fmt.Errorf("write to the state store: %w", err)
	}
	return batch.Close()
}

// Flush returns once everything written is on the disk, and survives a kill and a
// power cut. Writes reach the disk in their order: a crash leaves a prefix of the
// writes. The error is [ErrFull] while the disk is full, after a second at most:
// call Flush again. Any other error is a failure.
func (s *Store) Flush() error {
	if err := s.Err(); err != nil {
		return err
	}
	if s.pending == nil {
		err := s.failed.unlessStuck(func() (err error) {
			s.pending, err = s.db.AsyncFlush()
			return err
		})
		if err != nil {
			return fmt.Errorf("flush the state store: %w", err)
		}
	}
	look := time.NewTicker(fullEvery)
	defer look.Stop()
	for {
		select {
		case <-s.pending:
			s.pending = nil
			return nil
		case <-s.Failed():
			return s.Err()
		case <-look.C:
			if s.Full() {
				return ErrFull
			}
		}
	}
}
