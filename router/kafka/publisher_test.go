package kafka

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"
)

// Messages that are neither in nor failed get a line now and then.
func TestPublisherTellsOfMessagesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		p := &asyncPublisher{
			most: 10, underWay: map[*sarama.ProducerMessage]onTheWay{}, log: slog.New(slog.NewTextHandler(&logged, nil)), watched: make(chan struct{}),
		}
		go p.watch()
		for range 10 { // quick ones
			m := new(sarama.ProducerMessage)
			p.begin(m, nil)
			time.Sleep(hangs - time.Second)
			p.finish(m, nil)
		}
		synctest.Wait()
		if logged.Len() > 0 {
			t.Errorf("logged %s", &logged)
		}
		p.begin(new(sarama.ProducerMessage), nil)
		time.Sleep(hangs + hangsAgain + 2*hangsEvery)
		close(p.watched)
		synctest.Wait()
		if n := strings.Count(logged.String(), "neither taken nor refused any"); n != 2 || !strings.Contains(logged.String(), "messages=1") {
			t.Errorf("%d lines: %s", n, &logged)
		}
	})
}
