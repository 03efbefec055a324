package main

import (
	"encoding/json"
	"os"
	"sync"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

// recorder keeps the history, in memory and in a file, a line an operation.
type recorder struct {
	began time.Time

	mu      sync.Mutex
	file    *os.File
	encoder *json.Encoder
	all     []history.Operation
	failed  error
}

func newRecorder(path string) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{began: time.Now(), file: file, encoder: json.NewEncoder(file)}, nil
}

// now is the one clock of all operations and faults.
func (r *recorder) now() time.Duration { return time.Since(r.began) }

func (r *recorder) add(o history.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, o)
	if err := r.encoder.Encode(o); err != nil && r.failed == nil {
		r.failed = err
	}
}

// close returns what was recorded.
func (r *recorder) close() ([]history.Operation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.file.Close(); r.failed == nil {
		r.failed = err
	}
	return r.all, r.failed
}
