package decider

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/millrace/millrace/router/decider/observe"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// Many deferred commands of one stream go on in order, and the cost of each
// doesn't depend on the number behind.
func TestManyDeferredCommands(t *testing.T) {
	const behind = 2000
	mended := withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("createUser", "u", "Ann", "1"), tp.command("breakUser", "u", "Bob", "broken"))
	want := []string{"userCreated 1", "commandParked broken"}
	var queued, renamed []string
	for n := range behind {
		id := fmt.Sprint("b", n)
		s.take(tp.command("renameUser", "u", fmt.Sprint("Name ", n), id))
		queued, renamed = append(queued, "commandQueued "+id), append(renamed, "userRenamed "+id)
	}
	s.drain()
	s.stop()

	*mended = true
	s = serve(t, log)
	last := s.states.Watch("user/u", fmt.Sprint("b", behind-1))
	defer last.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	s.take(tp.command("requeueParked", "u", "", "r"))
	for o := range last.C {
		if o.Kind == Succeeded {
			break
		}
	}
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / behind
	t.Logf("%d deferred commands in %s, %d KiB each", behind, time.Since(began).Round(time.Millisecond), allocated>>10)
	if allocated > 64<<10 {
		t.Errorf("each has taken %d bytes: as if all that wait were copied each time", allocated)
	}
	want = append(append(append(want, queued...), "parkedRequeued r", "userRenamed broken"), renamed...)
	got := typesOf(log.accepted()["user/u"])
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("record %d is %s, want %s", i, got[i], want[i])
		}
	}
	s.drain()
}

// The deferred commands of a speculation, and of the state store's stream,
// don't overwrite each other.
func TestSpeculationHasItsOwnDeferredCommands(t *testing.T) {
	var stored stream
	fold := func(s *stream, recordType, id, body string) {
		t.Helper()
		r := eventlog.Record{Type: recordType, CommandID: id, Body: []byte(body)}
		if _, err := s.apply(registry, &r); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 { // so that there is room behind them
		fold(&stored, eventlog.TypeCommandParked, fmt.Sprint(i), `{"reason":"parked"}`)
	}
	deferredIn := func(s *stream) (list []string) {
		for _, d := range s.deferred.all() {
			list = append(list, fmt.Sprintf("%s %s %t", d.ID, d.Reason, d.Dropped))
		}
		return list
	}
	one, two := stored.copied(), stored.copied()
	fold(&one, eventlog.TypeCommandQueued, "one's", `{"reason":"queued"}`)
	fold(&one, eventlog.TypeParkedDropped, "d", `{"commandId":"0"}`)
	fold(&stored, eventlog.TypeCommandQueued, "stored", `{"reason":"queued"}`)
	fold(&two, eventlog.TypeCommandUnchanged, "0", `{}`)
	fold(&two, eventlog.TypeCommandParked, "1", `{"reason":"again"}`)
	fold(&two, eventlog.TypeCommandQueued, "two's", `{"reason":"queued"}`)
	for s, want := range map[*stream]string{
		&stored: "[0 parked false 1 parked false 2 parked false 3 parked false stored queued false]",
		&one:    "[0 parked true 1 parked false 2 parked false 3 parked false one's queued false]",
		&two:    "[1 again false 2 parked false 3 parked false two's queued false]",
	} {
		if got := fmt.Sprint(deferredIn(s)); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// deaths counts dead letters.
type deaths struct {
	observe.Unmetered
	n int
}

func (d *deaths) DeadLettered() { d.n++ }

// A message that an operator has sent again from the dead letters, and that
// decodes now, isn't counted as a dead letter again.
func TestBroughtBackFromTheDeadLetters(t *testing.T) {
	for name, test := range map[string]struct {
		next message.HandlerFunc
		want int
	}{
		"decoded": {func(*message.Message) ([]*message.Message, error) { return nil, nil }, 0},
		"dead again": {func(m *message.Message) ([]*message.Message, error) {
			m.Metadata.Set(middleware.ReasonForPoisonedKey, "as before")
			return nil, nil
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			counted := new(deaths)
			d := NewDispatcher(&kafka.Kafka{Partitions: 1}, sameTopic, NewStateStore(nil, registry, 1, 1, slog.New(slog.DiscardHandler)), nil, slog.New(slog.DiscardHandler))
			d.Meter = counted
			m := message.NewMessage("1", nil)
			m.Metadata.Set(middleware.ReasonForPoisonedKey, "it was dead")
			if _, err := d.skipDead(test.next)(m); err != nil {
				t.Fatal(err)
			}
			if counted.n != test.want {
				t.Errorf("%d are counted as dead, want %d", counted.n, test.want)
			}
		})
	}
}
