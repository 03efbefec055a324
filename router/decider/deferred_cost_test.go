package decider

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// allocatedBy is how many bytes something allocates.
func allocatedBy(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Four times as many deferred commands cost four times as much, not 16 times:
// when the commands come one by one, when the commands go on, and when an
// operator drops one after the other, each time with the next parked again.
func TestDeferredCommandsCostTheSameEach(t *testing.T) {
	measure := func(n int) map[string]uint64 {
		taken := map[string]uint64{}
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			mended := withBrokenRule(t)
			p, log := slowProcessor(t, 16)
			tp := new(topic)
			take := func(c eventlog.Envelope) {
				log.take(t, p, c)
				log.landAll(p)
				if r := &p.stream("user/u").outcomes; r.index != nil && len(r.index.last) < r.len() && len(r.index.clashes) == 0 {
					t.Fatalf("%d of %d outcomes have places", len(r.index.last), r.len())
				}
			}
			park := func(prefix string) {
				for i := range n {
					take(tp.command("breakUser", "u", fmt.Sprint("Name ", i), fmt.Sprintf("%s%05d", prefix, i)))
				}
			}
			take(tp.command("createUser", "u", "Ann", "0"))
			taken["park"] = allocatedBy(func() { park("a") })
			s := p.stream("user/u")
			for n := s.outcomes.from; n < s.outcomes.to; n++ {
				if got, found := s.index(s.outcomes.at(n).CommandID); !found || got != n {
					t.Fatalf("outcome %d is found at %d", n, got)
				}
			}
			*mended = true
			taken["requeue"] = allocatedBy(func() { take(tp.command("requeueParked", "u", "", "r")) })
			*mended = false
			park("b")
			taken["drop"] = allocatedBy(func() {
				for i := range n {
					c := tp.command("dropParked", "u", "", fmt.Sprintf("d%05d", i))
					c.Body = fmt.Appendf(nil, `{"stream":"user/u","commandId":"b%05d"}`, i)
					take(c)
				}
			})
			if s.deferred != nil || s.parked {
				t.Errorf("%d commands are still deferred", s.deferred.len())
			}
			take(tp.command("renameUser", "u", "Last", "last"))
			if s.outcomes.len() != 16 || s.outcomes.index != nil {
				t.Errorf("in the end %d outcomes are remembered, with an index: %v", s.outcomes.len(), s.outcomes.index)
			}
		})
		return taken
	}
	few, many := measure(500), measure(2000)
	for what, is := range many {
		if ratio := float64(is) / float64(few[what]); ratio > 7 || few[what] == 0 {
			t.Errorf("%s: four times as many commands allocate %.1f times as much", what, ratio)
		}
	}
}

// A command is found among many as fast as among few. The test compares the
// best of many times, among few and among 50 times as many: no load of the
// machine makes such a difference.
func TestFindingAmongManyDeferred(t *testing.T) {
	of := func(n int) *stream {
		s := new(stream)
		for i := range n {
			r := eventlog.Record{Type: eventlog.TypeCommandParked, CommandID: fmt.Sprintf("%05d", i), Body: []byte(`{}`)}
			o, err := s.apply(registry, &r)
			if err != nil {
				t.Fatal(err)
			}
			s.remember(o, 16, false)
		}
		return s
	}
	few, many := of(500), of(25_000)
	index := func(s *stream, id string) int {
		n, _ := s.index(id)
		return int(n)
	}
	for name, find := range map[string]func(*stream) int{
		"the last outcome":    func(s *stream) int { return index(s, s.outcomes.at(s.outcomes.to-1).CommandID) },
		"a middle outcome":    func(s *stream) int { return index(s, s.outcomes.at(s.outcomes.to/2).CommandID) },
		"no outcome":          func(s *stream) int { return index(s, "other") },
		"the first deferred":  func(s *stream) int { return s.indexDeferred(s.deferred.first.ID) },
		"no deferred command": func(s *stream) int { return s.indexDeferred("other") },
	} {
		best := func(s *stream) time.Duration {
			var took []time.Duration
			for range 20 {
				began := time.Now()
				for range 5 {
					find(s)
				}
				took = append(took, time.Since(began))
			}
			return slices.Min(took)
		}
		if a, b := best(few), best(many); b > 12*a+time.Microsecond {
			t.Errorf("%s: %v among few, %v among many", name, a, b)
		}
	}
}

// A deferred command that isn't the first is found too: no processor writes a
// record about such a command, but a log may have one.
func TestDeferredBehindTheFirst(t *testing.T) {
	for name, test := range map[string]struct {
		record eventlog.Record
		want   string
	}{
		"parked again": {eventlog.Record{Type: eventlog.TypeCommandParked, CommandID: "1", Body: []byte(`{"reason":"again"}`)}, "[0 false 1again false 2 false]"},
		"ended":        {eventlog.Record{Type: eventlog.TypeCommandUnchanged, CommandID: "1"}, "[0 false 2 false]"},
		"dropped":      {eventlog.Record{Type: eventlog.TypeParkedDropped, CommandID: "d", Body: []byte(`{"commandId":"2"}`)}, "[0 false 1 false 2 true]"},
		"new":          {eventlog.Record{Type: eventlog.TypeCommandQueued, CommandID: "3", Body: []byte(`{}`)}, "[0 false 1 false 2 false 3 false]"},
		"ended twice":  {eventlog.Record{Type: eventlog.TypeCommandUnchanged, CommandID: "before"}, "[0 false 1 false 2 false]"},
	} {
		t.Run(name, func(t *testing.T) {
			s := new(stream)
			s.outcomes.add(Outcome{CommandID: "before"})
			for i := range 3 {
				r := eventlog.Record{Type: eventlog.TypeCommandQueued, CommandID: fmt.Sprint(i), Body: []byte(`{}`)}
				o, err := s.apply(registry, &r)
				if err != nil {
					t.Fatal(err)
				}
				s.remember(o, 2, false)
			}
			if _, err := s.apply(registry, &test.record); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range s.deferred.all() {
				got = append(got, fmt.Sprintf("%s%s %t", d.ID, d.Reason, d.Dropped))
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("got %v, want %s", got, test.want)
			}
		})
	}
}
