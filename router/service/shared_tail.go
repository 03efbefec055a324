package service

import (
	"sync"

	"github.com/millrace/millrace/router/kafka"
)

// sharedTail is the log tail that the state store and all read models of a
// process share. The first role that needs the log tail opens it.
type sharedTail struct {
	mu   sync.Mutex
	open *kafka.LogTail
}

// reader opens a reader of the log tail.
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
