package decider

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/router/decider/observe"
	"github.com/millrace/millrace/router/eventlog"
)

// tape is a meter with a memory.
type tape struct {
	observe.Unmetered
	mu      sync.Mutex
	decided []string
	appends map[bool]int // by success
}

func (m *tape) Decided(commandType string, r *eventlog.Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.decided = append(m.decided, fmt.Sprintf("%s: %s", commandType, r.Type))
}

func (m *tape) Appended(_ time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.appends == nil {
		m.appends = map[bool]int{}
	}
	m.appends[err == nil]++
}

// Each outcome is counted once, with the type of the command, even if records
// are sent again or clients ask again. The state store counts parked streams
// and deferred commands.
func TestMeter(t *testing.T) {
	mended := withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)
	s := serve(t, log)
	want := Stats{Folded: 5, Streams: 2, Outcomes: 5, Parked: 1, Deferred: 3}
	if diff := cmp.Diff(want, s.states.Stats(), sizesOnly); diff != "" {
		t.Error("one is parked: " + diff)
	}
	*mended = true
	meter := new(tape)
	s.assigned.meter = meter
	s.take(
		tp.command("requeueParked", "u", "", "r"),
		tp.command("createUser", "v", "Bob", "1"),
		tp.command("createUser", "v", "Bob", "1"),
		tp.command("createUser", "v", "Bob", "2"),
	)
	awaitRecords(t, log, "user/u", 8)
	s.drain()
	meter.mu.Lock()
	defer meter.mu.Unlock()
	counts := map[string]int{}
	for _, d := range meter.decided {
		counts[d]++
	}
	if diff := cmp.Diff(map[string]int{
		"requeueParked: parkedRequeued": 1, "breakUser: userRenamed": 1, "renameUser: userRenamed": 2,
		"createUser: userCreated": 1, "createUser: commandRefused": 1,
	}, counts); diff != "" {
		t.Error("decided: " + diff)
	}
	if diff := cmp.Diff(map[bool]int{true: 6}, meter.appends); diff != "" {
		t.Error("appends: " + diff)
	}
	if got := s.states.Stats(); got.Parked != 0 || got.Deferred != 0 || got.Streams != 3 || got.Folded != 11 {
		t.Errorf("it is mended: %+v", got)
	}
}

// sizesOnly leaves out what a state store has in memory.
var sizesOnly = cmpopts.IgnoreFields(Stats{}, "Cached", "CachedBytes", "Unwritten", "Hits", "Misses")
