package decider

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// 30,000 scheduled commands of one stream cost a bounded number of bytes each,
// when the commands come one by one, when the stream is written to disk, when
// clients send the commands again or cancel them, and when the commands are due.
func TestScheduledCommandsOfOneStream(t *testing.T) {
	const n, most = 30_000, 40_000
	log, disk := &slowLog{fakeLog: newFakeLog()}, newMemDisk()
	states := NewStateStore(log, registry, 1, 16, slog.New(slog.DiscardHandler))
	states.KeepOn(disk, 1<<30, nil)
	p := slowProcessorOn(t, states, log)
	p.opened = true
	now := time.UnixMilli(0)
	p.now = func() time.Time { return now }
	tp := new(topic)
	taken := 0
	take := func(c eventlog.Envelope) {
		log.take(t, p, c)
		log.landAll(p)
		if taken++; taken%100 == 0 {
			written(t, states)
		}
	}
	costs := func(what string, times int, do func(i int)) {
		t.Helper()
		each := allocatedBy(func() {
			for i := range times {
				do(i)
			}
		}) / uint64(times)
		t.Logf("%s: %d bytes each", what, each)
		if each > most {
			t.Errorf("%s: %d bytes each", what, each)
		}
	}
	id := func(i int) string { return fmt.Sprintf("c%05d", i*7919%n) }
	at := func(i int) time.Duration { return time.Duration(1+i*104_729%n) * time.Second }
	take(tp.command("createUser", "u", "Ann", "create"))
	costs("schedule", n, func(i int) {
		take(later(tp.command("renameUser", "u", fmt.Sprint("Name ", i), id(i)), at(i)))
	})
	costs("another command", 1000, func(i int) {
		take(tp.command("renameUser", "u", fmt.Sprint("Now ", i), fmt.Sprint("now", i)))
	})
	costs("send again", 1000, func(i int) {
		take(later(tp.command("renameUser", "u", fmt.Sprint("Name ", i), id(i)), at(i)))
	})
	costs("look up", 1000, func(i int) {
		if o, ok := states.Outcome("user/u", id(i)); !ok || o.Kind != Scheduled {
			t.Fatalf("the outcome of %s is %+v", id(i), o)
		}
	})
	costs("cancel", 1000, func(i int) { take(tp.cancel("u", id(i), fmt.Sprint("cancel", i))) })
	if got := p.stream("user/u").schedule.len(); got != n-1000 {
		t.Fatalf("%d commands are scheduled", got)
	}
	now = time.Unix(2*n, 0)
	costs("due", n-1000, func(i int) {
		if i == 0 {
			noError(p.look(p.assigned))
			log.landAll(p)
		}
	})
	written(t, states)
	if s := p.stream("user/u"); s.schedule.len() != 0 || p.stream("user/u").head.Version != n+1 {
		t.Errorf("in the end %d commands are scheduled, at version %d", s.schedule.len(), s.head.Version)
	}
}
