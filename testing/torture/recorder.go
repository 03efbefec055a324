package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

// recorder keeps the history, in memory and in a file with a line an operation.
type recorder struct {
	began time.Time

	mu      sync.Mutex
	file    *os.File
	encoder *json.Encoder
	all     []history.Operation
	failed  error
	asked   map[asker]time.Duration // when the request of the latest answer was sent
	news    chan struct{}           // closed when something is added
}

// asker is a client with a kind of requests: commands or queries.
type asker struct {
	client   int
	commands bool
}

func newRecorder(path string) (*recorder, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &recorder{began: time.Now(), file: file, encoder: json.NewEncoder(file), asked: map[asker]time.Duration{}, news: make(chan struct{})}, nil
}

// now is the time since the start of the run, for all operations and faults.
func (r *recorder) now() time.Duration { return time.Since(r.began) }

func (r *recorder) add(o history.Operation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, o)
	if err := r.encoder.Encode(o); err != nil && r.failed == nil {
		r.failed = err
	}
	if o.Result() != history.Unknown && !o.IsOperator() {
		of := asker{o.Client, o.IsCommand()}
		r.asked[of] = max(r.asked[of], o.Call)
	}
	close(r.news)
	r.news = make(chan struct{})
}

// answered waits until each client has an answer to a command and an answer to a
// query, both sent later than since.
func (r *recorder) answered(ctx context.Context, clients int, since, patience time.Duration) error {
	late := time.After(patience)
	for {
		r.mu.Lock()
		n, news := 0, r.news
		for _, asked := range r.asked {
			if asked >= since {
				n++
			}
		}
		r.mu.Unlock()
		if n == 2*clients {
			return nil
		}
		select {
		case <-news:
		case <-late:
			return fmt.Errorf("%s later, %d clients have answers to %d of %d kinds of requests", patience, clients, n, 2*clients)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// close returns all operations.
func (r *recorder) close() ([]history.Operation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.file.Close(); r.failed == nil {
		r.failed = err
	}
	return r.all, r.failed
}
