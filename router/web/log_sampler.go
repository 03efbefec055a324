package web

import (
	"log/slog"
	"sync"
	"time"
)

// sampleEvery is how often the same complaint is logged at the most.
const sampleEvery = time.Second

// LogSampler logs what goes wrong for every client at once, when something is
// away: a line a second, which says how many there were.
type LogSampler struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// Warn logs a complaint, or counts it for the next line.
func (s *LogSampler) Warn(log *slog.Logger, msg string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.last) < sampleEvery {
		s.skipped++
		return
	}
	if s.skipped > 0 {
		args = append(args, "more like it", s.skipped)
	}
	s.last, s.skipped = now, 0
	log.Warn(msg, args...)
}
