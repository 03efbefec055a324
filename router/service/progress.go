package service

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

const (
	progressOnTerminal = 200 * time.Millisecond
	progressInLines    = 5 * time.Second
	progressWidth      = 24
)

// progress returns a function that shows how far the log is folded, how fast the
// fold goes, and how long the rest will take: as a moving bar on a terminal,
// otherwise as a line every 5 s.
func progress(stderr io.Writer) (show func(done, all int64)) {
	terminal := isTerminal(stderr)
	every := progressInLines
	if terminal {
		every = progressOnTerminal
	}
	began := time.Now()
	shown, first := began, int64(-1)
	var mu sync.Mutex
	return func(done, all int64) {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if first < 0 {
			first = done
		}
		if done == all && !terminal || done < all && now.Sub(shown) < every {
			return
		}
		shown = now
		text := progressText(done, all, done-first, now.Sub(began))
		if !terminal {
			fmt.Fprintln(stderr, text)
			return
		}
		full := int(done * progressWidth / max(all, 1))
		fmt.Fprintf(stderr, "\r[%s%s] %s\x1b[K", strings.Repeat("#", full), strings.Repeat(".", progressWidth-full), text)
		if done == all {
			fmt.Fprintln(stderr)
		}
	}
}

// progressText says how many records are done, and the rate of so many records
// in this time.
func progressText(done, all, records int64, took time.Duration) string {
	text := fmt.Sprintf("%d of %d records", done, all)
	rate := float64(records) / max(took.Seconds(), 1e-3)
	if rate < 1 {
		return text
	}
	left := time.Duration(float64(all-done)/rate*1e3) * time.Millisecond
	return fmt.Sprintf("%s, %.0f/s, %s left", text, rate, left.Round(time.Second))
}
