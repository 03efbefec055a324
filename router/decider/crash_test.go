package decider

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
)

// blindLog hides all records that are written after the log was blinded.
type blindLog struct {
	*fakeLog
	mu    sync.Mutex
	blind bool
}

func (l *blindLog) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	return l.fakeLog.Follow(ctx, partition, from, func(records []eventlog.Record) error {
		l.mu.Lock()
		blind := l.blind
		l.mu.Unlock()
		if blind {
			<-ctx.Done()
			return ctx.Err()
		}
		return fn(records)
	})
}

// A service that is killed at any step leaves one outcome behind. The next
// service tells the same outcome: for the message that comes again, and to a
// client that asks again.
func TestKilledAtEachStep(t *testing.T) {
	var tp topic
	command := tp.command("createUser", "u", "Ann", "one")
	repeated := tp.command("createUser", "u", "Ann", "one")
	later := tp.command("renameUser", "u", "Bea", "two")

	for name, killed := range map[string]func(t *testing.T, log *fakeLog){
		"before the append": func(*testing.T, *fakeLog) {},
		"before the append lands": func(t *testing.T, log *fakeLog) {
			log.fate = func() fate { return fails }
			s := serve(t, log)
			s.take(command)
			s.stop()
			log.fate = func() fate { return lands }
		},
		"after the append, its ack lost": func(t *testing.T, log *fakeLog) {
			blind := &blindLog{fakeLog: log, blind: true}
			s := serveOn(t, blind, log)
			log.fate = func() fate { return ackLost }
			s.take(command)
			s.stop()
			log.fate = func() fate { return lands }
		},
		"after the append, before it is read back": func(t *testing.T, log *fakeLog) {
			s := serveOn(t, &blindLog{fakeLog: log, blind: true}, log)
			s.take(command)
			s.stop()
			if s.marked != 0 {
				t.Errorf("marked %d before the outcome was read back", s.marked)
			}
		},
		"after it is read back, before the mark": func(t *testing.T, log *fakeLog) {
			s := serve(t, log)
			s.take(command)
			s.drain()
			s.stop() // and nobody hears of the mark: the command comes again
		},
	} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			killed(t, log)
			s := serve(t, log)
			watch := s.states.Watch("user/u", "one")
			defer watch.Close()
			s.take(command, repeated, later)
			told := <-watch.C
			s.drain()
			again := s.states.Watch("user/u", "one")
			defer again.Close()
			if o := <-again.C; o.Kind != Succeeded || o.Version != 1 || o.Offset != told.Offset {
				t.Errorf("told %+v, and then %+v", told, o)
			}
			want := "[userCreated one userRenamed two]"
			if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			s.stop()

			// All is delivered again from the start, to a service that knows
			// only the log.
			s = serve(t, log)
			before := len(log.records)
			s.take(command, repeated, later)
			s.drain()
			if len(log.records) != before {
				t.Errorf("%d records came of commands that were decided", len(log.records)-before)
			}
		})
	}
}

// serveOn starts a service whose state store reads another view of the log.
func serveOn(t *testing.T, view Log, log *fakeLog) *service {
	t.Helper()
	return serveWith(t, NewStateStore(view, registry, 1, 128, slog.New(slog.DiscardHandler)), log)
}
