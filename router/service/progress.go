package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/router/operations"
)

const (
	progressOnTerminal = 200 * time.Millisecond
	progressInLines    = 5 * time.Second
	progressWidth      = 24
)

// progress returns a function that shows how far the log is folded, how fast the
// fold goes, and how long the rest will take: as a moving bar on a terminal,
// otherwise as a line every 5 s.
//
// Without progress there is a line every stallLine, and giveUp ends the context
// after stallLimit.
func progress(ctx context.Context, stderr io.Writer, giveUp context.CancelCauseFunc) (show func(done, all int64)) {
	shown := progressShown(stderr)
	s := watchStall(ctx, stderr, giveUp)
	return func(done, all int64) {
		s.move(done, all)
		shown(done, all)
	}
}

const (
	stallLine  = 10 * time.Second
	stallLimit = 2 * time.Minute
)

// errStalled is why a command line gives up.
var errStalled = fmt.Errorf("gave up: no record came from Kafka for %s; run this again when Kafka answers, or look into the broker's log", stallLimit)

// stall notices a fold that doesn't move.
type stall struct {
	stderr io.Writer
	giveUp context.CancelCauseFunc

	mu        sync.Mutex
	moved     time.Time // when the fold has moved last
	done, all int64
	whole     bool // no record is missing
}

// watchStall watches a fold, from the first move on, until the context ends.
func watchStall(ctx context.Context, stderr io.Writer, giveUp context.CancelCauseFunc) *stall {
	s := &stall{stderr: stderr, giveUp: giveUp, moved: time.Now(), whole: true}
	go s.watch(ctx)
	return s
}

// why returns errStalled if that ended a context, and an error as it is
// otherwise.
func why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errStalled) || errors.Is(cause, operations.ErrNoAnswer) {
		return cause
	}
	return err
}

// move notes how far the fold has come.
func (s *stall) move(done, all int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if done != s.done || s.whole {
		s.moved = time.Now()
	}
	s.done, s.all, s.whole = done, all, done >= all
}

func (s *stall) watch(ctx context.Context) {
	tick := time.NewTicker(stallLine)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		still, done, all, whole := time.Since(s.moved), s.done, s.all, s.whole
		s.mu.Unlock()
		switch {
		case whole || still < stallLine:
		case still >= stallLimit:
			s.giveUp(errStalled)
			return
		default:
			fmt.Fprintf(s.stderr, "no progress for %s at %d of %d records: is Kafka there?\n", still.Round(time.Second), done, all)
		}
	}
}

// progressShown returns the function that shows the progress.
func progressShown(stderr io.Writer) (show func(done, all int64)) {
	terminal, every := progressPace(stderr)
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
		text := progressText("records", done, all, done-first, now.Sub(began))
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

func progressPace(stderr io.Writer) (terminal bool, every time.Duration) {
	if isTerminal(stderr) {
		return true, progressOnTerminal
	}
	return false, progressInLines
}

// comparedShown returns a function that shows how many rows of a read model are
// compared, and then how many are in the digest: on one line of a terminal,
// otherwise as a line every 5 s. all is 0 while rows are compared.
func comparedShown(stderr io.Writer) (show func(done, all int64)) {
	terminal, every := progressPace(stderr)
	var began, shown time.Time
	last, digest := int64(0), false
	return func(done, all int64) {
		now := time.Now()
		if done < last || digest != (all > 0) || began.IsZero() { // the next part
			began, digest = now, all > 0
			if shown.IsZero() {
				shown = now
			}
		}
		last = done
		over := terminal && digest && done == all
		if now.Sub(shown) < every && !over {
			return
		}
		shown = now
		text := progressText("rows in the digest", done, all, done, now.Sub(began))
		if !digest {
			text = fmt.Sprintf("compared %d rows, %.0f/s", done, float64(done)/max(now.Sub(began).Seconds(), 1e-3))
		}
		switch {
		case !terminal:
			fmt.Fprintln(stderr, text)
		case over:
			fmt.Fprintf(stderr, "\r%s\x1b[K\n", text)
		default:
			fmt.Fprintf(stderr, "\r%s\x1b[K", text)
		}
	}
}

// progressText says how many records or rows are done, and the rate of so many in
// this time.
func progressText(what string, done, all, counted int64, took time.Duration) string {
	text := fmt.Sprintf("%d of %d %s", done, all, what)
	rate := float64(counted) / max(took.Seconds(), 1e-3)
	if rate < 1 {
		return text
	}
	left := time.Duration(float64(all-done)/rate*1e3) * time.Millisecond
	return fmt.Sprintf("%s, %.0f/s, %s left", text, rate, left.Round(time.Second))
}
