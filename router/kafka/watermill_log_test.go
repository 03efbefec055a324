package kafka

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/google/go-cmp/cmp"
)

// logTo is a log without times.
func logTo(to *bytes.Buffer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// Watermill's errors become warnings, Watermill's info becomes debug.
func TestWatermillLogLevels(t *testing.T) {
	say := func(log watermill.LoggerAdapter) {
		log = log.With(watermill.LogFields{"topic": "events"}).With(watermill.LogFields{"by": "test"})
		log.Error("went wrong", errors.New("reset by peer"), watermill.LogFields{"attempt": 1, "again": true})
		log.Info("connected", nil)
		log.Debug("fetched", watermill.LogFields{"n": 2})
		log.Trace("read", nil)
	}
	all := []string{
		`level=WARN msg="went wrong" error="reset by peer" again=true attempt=1 by=test topic=events`,
		`level=DEBUG msg=connected by=test topic=events`,
		`level=DEBUG-4 msg=fetched by=test n=2 topic=events`,
		`level=DEBUG-8 msg=read by=test topic=events`,
	}
	for level, lines := range map[slog.Level]int{slog.LevelDebug - 8: 4, slog.LevelDebug - 4: 3, slog.LevelDebug: 2, slog.LevelInfo: 1, slog.LevelError: 0} {
		var out bytes.Buffer
		say(WatermillLog(logTo(&out, level)))
		want := strings.Join(append(all[:lines:lines], ""), "\n")
		if diff := cmp.Diff(want, out.String()); diff != "" {
			t.Errorf("level %v (-want +got):\n%s", level, diff)
		}
	}
}

// When a broker goes away, each partition reports an error. The log has one
// warning per message and interval, and the next warning counts the others.
func TestWatermillLogRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := WatermillLog(logTo(&out, slog.LevelInfo))
		report := func(what string, n int, more string) {
			t.Helper()
			out.Reset()
			for _, partition := range []int{1, 2, 3} {
				log.With(watermill.LogFields{"partition": partition}).Error(what, errors.New("reset by peer"), nil)
			}
			if got := strings.Count(out.String(), what); got != n {
				t.Errorf("%s: logged %d times, want %d", what, got, n)
			}
			if counted := strings.Contains(out.String(), "more like it"); counted != (more != "") || !strings.Contains(out.String(), more) {
				t.Errorf("%s: logged %q, want %q", what, out.String(), more)
			}
		}
		report("broker gone", 1, "")
		report("group gone", 1, "")
		time.Sleep(repeatAfter - time.Millisecond)
		report("broker gone", 0, "")
		time.Sleep(time.Millisecond)
		report("broker gone", 1, `"more like it"=5`)
	})
}
