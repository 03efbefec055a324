package logging

import (
	"log/slog"
	"sync"
	"time"
)

// DefaultInterval is the interval of a [Sampler] with Interval 0.
const DefaultInterval = time.Second

// Sampler limits the lines with the same message to one per interval. When a
// broker or another server is away, such a message comes for every client or
// partition at once. The next line says how many lines the sampler left out
// since. The zero value is ready. A Sampler is safe for concurrent use, and must
// not be copied after its first use.
type Sampler struct {
	// Interval is the least time between two lines with the same message;
	// [DefaultInterval] if 0.
	Interval time.Duration

	mu       sync.Mutex
	messages map[string]sample
}

// sample is the state of one message.
type sample struct {
	last    time.Time // time of the last line
	skipped int       // lines left out since
}

// Take reports whether a line with this message is due, and how many lines were
// left out before. A line before its time is counted for the next line.
func (s *Sampler) Take(msg string) (skipped int, due bool) {
	interval := s.Interval
	if interval == 0 {
		interval = DefaultInterval
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, before := time.Now(), s.messages[msg]
	if now.Sub(before.last) < interval {
		before.skipped++
		s.messages[msg] = before
		return 0, false
	}
	if s.messages == nil {
		s.messages = map[string]sample{}
	}
	s.messages[msg] = sample{last: now}
	return before.skipped, true
}

// Warn logs a warning, or counts the warning for the next line.
func (s *Sampler) Warn(log *slog.Logger, msg string, args ...any) {
	skipped, due := s.Take(msg)
	if !due {
		return
	}
	if skipped > 0 {
		args = append(args, Skipped(skipped))
	}
	log.Warn(msg, args...)
}

// Skipped is the attribute for the number of lines that a sampler left out.
func Skipped(lines int) slog.Attr { return slog.Int("more like it", lines) }
