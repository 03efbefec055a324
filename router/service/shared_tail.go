package service

import (
	"sync"

	"github.com/millrace/millrace/router/kafka"
)

// sharedTail is the process's one reading of the log, for the ledger and all read
// models. The role that needs it first opens it.
type sharedTail struct {
	mu   sync.Mutex
	open *kafka.LogTail
}

// reader opens a reader that follows the log through the feed.
func (t *sharedTail) reader(kafka *kafka.Kafka) (*kafka.TailReader, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		open, err := kafka.LogTail()
		if err != nil {
			return nil, err
		}
		t.open = open
	}
	log, err := kafka.LogReader()
	if err != nil {
		return nil, err
	}
	return t.open.Reader(log), nil
}

func (t *sharedTail) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == nil {
		return nil
	}
	return t.open.Close()
}
