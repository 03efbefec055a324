package decider

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// cutLog has no record behind those that a reader got.
type cutLog struct{ *fakeLog }

func (l cutLog) Follow(_ context.Context, _ int32, from int64, fn func([]eventlog.Record) error) error {
	if from == 0 && len(l.records) > 0 {
		if err := fn(l.records); err != nil {
			return err
		}
	}
	return kafka.ErrOffsetGone
}

// A log that loses its end under a running state store was longer once: the
// error asks for the remedy. A log without its first records is another fault.
func TestLogLosesItsEnd(t *testing.T) {
	t.Parallel()
	for records, shorter := range []bool{false, true} {
		log, tp := newFakeLog(), new(topic)
		if records > 0 {
			s := serve(t, log)
			s.take(tp.command("createUser", "u", "Ann", "one"))
			s.drain()
			s.stop()
		}
		err := NewStateStore(cutLog{log}, registry, 1, 128, slog.New(slog.DiscardHandler)).Run(t.Context())
		if !errors.Is(err, kafka.ErrOffsetGone) || errors.Is(err, kafka.ErrShorter) != shorter {
			t.Errorf("after %d records: %v", records, err)
		}
	}
}

// A log that ends below the cause of a reaction's command has lost the cause:
// records with its offset would cause commands that are taken for repetitions.
// Nobody decides from such a log, unless an operator says that it is meant.
func TestLogLosesACause(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		cause   eventlog.Cause
		accept  bool
		shorter bool
	}{
		"the last record":       {eventlog.Cause{TopicID: "id", Partition: 0, Offset: 1, N: 1}, false, false},
		"behind the log":        {eventlog.Cause{TopicID: "id", Partition: 1, Offset: 2, N: 1}, false, true},
		"behind the log, meant": {eventlog.Cause{TopicID: "id", Partition: 1, Offset: 2, N: 1}, true, false},
		"of another log":        {eventlog.Cause{TopicID: "other", Partition: 1, Offset: 2, N: 1}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, tp := newFakeLog(), new(topic)
			s := serve(t, log)
			s.take(tp.command("createUser", "u", "Ann", "new"))
			c := ofReaction(tp.command("renameUser", "u", "Bea", ""), 0)
			c.Origin.Cause = test.cause
			c.ID = c.Origin.CommandID()
			s.take(c)
			s.drain()
			s.stop()
			onDisk := newMemDisk()
			restarted(t, log, onDisk, 128, nil)
			for from, disk := range map[string]*memDisk{"the log": newMemDisk(), "the disk": onDisk} {
				ss := NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler))
				ss.EventsID, ss.AcceptShorter = "id", test.accept
				ss.KeepOn(disk, 10_000, nil)
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- ss.Run(ctx) }()
				err := ss.CatchUp(ctx, 0)
				if errors.Is(err, kafka.ErrShorter) != test.shorter {
					t.Errorf("from %s: caught up with %v", from, err)
				}
				if err == nil {
					cancel()
				}
				if err := <-ran; errors.Is(err, kafka.ErrShorter) != test.shorter {
					t.Errorf("from %s: ended with %v", from, err)
				}
				cancel()
			}
		})
	}
}
