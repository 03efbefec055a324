package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Messages that are neither in nor failed get a line now and then.
func TestPublisherTellsOfMessagesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		p := &asyncPublisher{flows: make([]flow, 2), log: slog.New(slog.NewTextHandler(&logged, nil)), watched: make(chan struct{})}
		go p.watch()
		for range 10 { // quick ones
			p.flows[0].begin()
			time.Sleep(hangs - time.Second)
			p.flows[0].finish()
		}
		synctest.Wait()
		if logged.Len() > 0 {
			t.Errorf("logged %s", &logged)
		}
		p.flows[0].begin() // and the other partition goes on
		time.Sleep(hangs + hangsAgain + 2*hangsEvery)
		close(p.watched)
		synctest.Wait()
		if n := strings.Count(logged.String(), "neither taken nor refused any"); n != 2 || !strings.Contains(logged.String(), "messages=1") {
			t.Errorf("%d lines: %s", n, &logged)
		}
	})
}
