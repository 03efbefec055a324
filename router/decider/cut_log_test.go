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
