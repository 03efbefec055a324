package logging

import (
	"bytes"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// logTo is a log without times.
func logTo(to *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(to, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// A message has one line per interval, and the next line counts the omitted
// lines. Another message has lines of its own.
func TestSampler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, s := range map[string]*Sampler{"default": {}, "5s": {Interval: 5 * time.Second}} {
			interval := max(s.Interval, DefaultInterval)
			var out bytes.Buffer
			log := logTo(&out)
			want := func(want string) {
				t.Helper()
				if out.String() != want {
					t.Errorf("%s: got %q, want %q", name, out.String(), want)
				}
				out.Reset()
			}
			s.Warn(log, "broker away", "partition", 1)
			want("level=WARN msg=\"broker away\" partition=1\n")
			s.Warn(log, "broker away", "partition", 2)
			s.Warn(log, "group away")
			want("level=WARN msg=\"group away\"\n")
			time.Sleep(interval - time.Nanosecond)
			s.Warn(log, "broker away", "partition", 3)
			want("")
			time.Sleep(time.Nanosecond)
			s.Warn(log, "broker away", "partition", 4)
			want("level=WARN msg=\"broker away\" partition=4 \"more like it\"=2\n")
			time.Sleep(interval)
			s.Warn(log, "broker away", "partition", 5)
			want("level=WARN msg=\"broker away\" partition=5\n")
		}
	})
}

func TestTrace(t *testing.T) {
	t.Parallel()
	for traceParent, want := range map[string]string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "level=INFO msg=x trace=4bf92f3577b34da6a3ce929d0e0e4736\n",
		"":       "level=INFO msg=x\n",
		"00-4bf": "level=INFO msg=x\n",
	} {
		var out bytes.Buffer
		logTo(&out).Info("x", Trace(traceParent))
		if out.String() != want {
			t.Errorf("%q: got %q, want %q", traceParent, out.String(), want)
		}
	}
}
