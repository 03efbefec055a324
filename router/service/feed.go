package service

import (
	"sync"

	"github.com/millrace/millrace/router/kafka"
)

// feed is the process's one reading of the log, for the ledger and all read
// models. The role that needs it first opens it.
type feed struct {
	mu   sync.Mutex
	open *kafka.Feed
}

// reader opens a reader that follows the log through the feed.
func (f *feed) reader(kafka *kafka.Kafka) (*kafka.FeedReader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		open, err := kafka.Feed()
		if err != nil {
			return nil, err
		}
		f.open = open
	}
	log, err := kafka.LogReader()
	if err != nil {
		return nil, err
	}
	return f.open.Reader(log), nil
}

func (f *feed) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return nil
	}
	return f.open.Close()
}
