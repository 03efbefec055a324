package commandguard

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

const fillMargin = 1000

// guardedTopic is one partition of topic commands, which may lose its end.
type guardedTopic struct {
	mu        sync.Mutex
	end       int64
	filled    int64
	committed int64
}

// states is a state store that has decided so many commands.
type states int64

func (states) CatchUp(context.Context, int32) error { return nil }

func (decided states) LastDecided(int32, string) int64 { return int64(decided) - 1 }

func (states) Refusal() error { return nil }

func (g *guardedTopic) Range(context.Context, int32) (first, end int64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return 0, g.end, nil
}

func (g *guardedTopic) send(_ *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
	g.mu.Lock()
	at := g.end
	g.end++
	g.mu.Unlock()
	sent(eventlog.CommandPlace{CommandPosition: eventlog.CommandPosition{TopicID: "t", Offset: at}}, nil)
}

func (g *guardedTopic) fill(_ context.Context, _ int32, n int64) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end += n
	g.filled += n
	return nil
}

func (g *guardedTopic) cut(end int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.end = end
}

// guarding runs a guard over a topic, of which the log has decided all commands
// below decided.
func guarding(t *testing.T, topic *guardedTopic, decided int64) *Guard {
	t.Helper()
	g := &Guard{
		States: states(decided), Partitions: 1, Margin: fillMargin, TopicID: "t", Commands: topic, Send: topic.send, Fill: topic.fill, Log: slog.New(slog.DiscardHandler),
		Committed: func(context.Context) (map[int32]int64, error) { return map[int32]int64{0: topic.committed}, nil },
	}
	g.Start()
	if err := g.Ready(); err == nil {
		t.Error("ready before the first look")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	synctest.Wait()
	return g
}

func (g *Guard) try() (at int64, err error) {
	g.Post(&eventlog.Envelope{Stream: "user/1"}, func(place eventlog.CommandPlace, e error) { at, err = place.Offset, e })
	return at, err
}

func TestGuardFillsUsedOffsets(t *testing.T) {
	for name, test := range map[string]struct {
		end, decided, committed int64
		filled, at              int64 // at is the offset of the next command
	}{
		"an empty log":                     {0, 0, 0, 0, 0},
		"all is there":                     {100, 100, 100, 0, 100},
		"some commands aren't decided yet": {120, 100, 90, 0, 120},
		"the last command is gone":         {99, 100, 100, 1 + fillMargin, 100 + fillMargin},
		"all commands are gone":            {0, 100, 100, 100 + fillMargin, 100 + fillMargin},
		"repetitions are gone":             {100, 100, 130, 30 + fillMargin, 130 + fillMargin},
		"the offset of an earlier topic":   {5, 0, 130, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				topic := &guardedTopic{end: test.end, committed: test.committed}
				g := guarding(t, topic, test.decided)
				at, err := g.try()
				if err != nil || at != test.at || topic.filled != test.filled {
					t.Errorf("sent to %d with %d fillers, want %d with %d: %v", at, topic.filled, test.at, test.filled, err)
				}
				if err := g.Ready(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestGuardRefusesTooManyFillers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := &guardedTopic{}
		g := guarding(t, topic, maxFill+1)
		if _, err := g.try(); !errors.Is(err, eventlog.ErrNotTaken) || !strings.Contains(err.Error(), "delete topic commands") {
			t.Errorf("got %v", err)
		}
		if topic.filled != 0 {
			t.Errorf("%d fillers", topic.filled)
		}
	})
}

// The topic loses its end while the guard is open. A command at an offset that
// was used is not taken, and the next commands are.
func TestGuardNoticesAtTheNextCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := &guardedTopic{end: 100}
		g := guarding(t, topic, 100)
		for range 5 {
			if _, err := g.try(); err != nil {
				t.Fatal(err)
			}
		}
		topic.cut(103)
		if at, err := g.try(); err == nil {
			t.Errorf("took a command at offset %d, which was used", at)
		}
		synctest.Wait()
		if at, err := g.try(); err != nil || at < 105 {
			t.Errorf("sent to %d: %v", at, err)
		}
	})
}

// Other gateways' commands count too, once the guard has looked.
func TestGuardNoticesWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		topic := &guardedTopic{end: 100}
		g := guarding(t, topic, 100)
		topic.cut(150) // others have sent
		time.Sleep(guardEvery)
		synctest.Wait()
		topic.cut(120)
		time.Sleep(guardEvery)
		synctest.Wait()
		if at, err := g.try(); err != nil || at < 150 {
			t.Errorf("sent to %d: %v", at, err)
		}
	})
}

func TestGuardRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := guarding(t, &guardedTopic{}, 0)
		g.Refuse(errNotFolded)
		if _, err := g.try(); err == nil {
			t.Error("took a command")
		}
		if err := g.Ready(); err == nil {
			t.Error("ready")
		}
		g.Refuse(nil)
		if _, err := g.try(); err != nil {
			t.Error(err)
		}
	})
}
