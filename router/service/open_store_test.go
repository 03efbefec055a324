package service

import (
	"context"
	"errors"
	"testing"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/statestore"
)

// While the state store waits for a full disk, the command service says so, takes
// no commands, and can be stopped.
func TestOpenStoreOnFullDisk(t *testing.T) {
	s := newCommandService(&Process{Config: config.Config{DataDir: t.TempDir()}, health: new(health)}, nil)
	waitsFor := func(why error) {
		t.Helper()
		if got := s.health.checks[0].check(t.Context()); !errors.Is(got, why) {
			t.Errorf("not ready: %v, want %v", got, why)
		}
		s.send(new(eventlog.Envelope), func(_ eventlog.CommandPlace, err error) {
			if !errors.Is(err, why) || !errors.Is(err, eventlog.ErrNotTaken) {
				t.Errorf("a command: %v, want %v", err, why)
			}
		})
	}
	waitsFor(errKafkaAway)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	defer close(ended)
	_, err := s.openStore(ctx, func(o statestore.Options) (*statestore.Store, error) {
		waitsFor(errOpening)
		o.Full(true)
		waitsFor(statestore.ErrFull)
		o.Full(false)
		waitsFor(errOpening)
		o.Full(true)
		stop()
		<-ended
		return nil, errOpening
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, statestore.ErrFull) {
		t.Errorf("stopped while the disk was full: %v", err)
	}
}
