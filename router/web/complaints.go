package web

import (
	"log/slog"
	"sync"
	"time"
)

// complainEvery is how often the same complaint is logged at the most.
const complainEvery = time.Second

// Complaints logs what goes wrong for every client at once, when something is
// away: a line a second, which says how many there were.
type Complaints struct {
	mu   sync.Mutex
	last time.Time
	held int
}

// Warn logs a complaint, or counts it for the next line.
func (c *Complaints) Warn(log *slog.Logger, msg string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.last) < complainEvery {
		c.held++
		return
	}
	if c.held > 0 {
		args = append(args, "more like it", c.held)
	}
	c.last, c.held = now, 0
	log.Warn(msg, args...)
}
