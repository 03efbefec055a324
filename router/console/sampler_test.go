package console

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/telemetry"
)

// process has figures that grow: ten commands a second, each with an outcome
// within 2 ms.
type process struct {
	began time.Time
	asked atomic.Int64
	slow  time.Duration // how long facts take
}

func (p *process) counts() telemetry.Counts {
	n := 10 * float64(time.Since(p.began)/time.Second)
	h := telemetry.Histogram{Count: uint64(n), Bounds: []float64{.001, .002, .1}, Below: []uint64{0, uint64(n), uint64(n)}}
	slow := telemetry.Histogram{Count: uint64(n), Bounds: h.Bounds, Below: []uint64{0, 0, uint64(n)}}
	return telemetry.Counts{Accepted: n, Decided: [len(telemetry.Counts{}.Decided)]float64{n, 0, n / 2}, Outcome: h, Visible: map[string]telemetry.Histogram{"users": h, "stats": slow}}
}

func (p *process) facts(context.Context) telemetry.Facts {
	p.asked.Add(1)
	time.Sleep(p.slow)
	lag, seconds := int64(3), 1.5
	return telemetry.Facts{
		Ready: map[string]bool{"kafka": true, "store": false}, Waiting: map[string]string{"store": "no <b>answer</b>"},
		Gateway: &telemetry.Gateway{Undecided: 3, MaxUndecided: 10}, State: &telemetry.State{Parked: 1, Streams: 5},
		ReadModels: []telemetry.ReadModel{{Name: "users", Generation: 2, Lag: &lag, LagSeconds: &seconds}, {Name: "stats"}},
	}
}

// sampling runs a sampler in a bubble of synctest until the test ends.
func sampling(t *testing.T, p *process) *Sampler {
	t.Helper()
	p.began = time.Now()
	s := &Sampler{Counts: p.counts, Facts: p.facts, DeadLetters: func(context.Context) (int64, error) { return 4, nil }}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-done
	})
	return s
}

func TestSamplerRates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sampling(t, new(process))
		time.Sleep(20*time.Second + 500*time.Millisecond)
		f := s.figures()
		text, err := json.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			`"ready":false`, `{"name":"store","ready":false,"waitingFor":"no \u003cb\u003eanswer\u003c/b\u003e"}`,
			`"acceptedPerSecond":10,`, `"refused":5,`, `"accepted":200,`, `"undecided":3,`, `"parkedStreams":1,`, `"deadLetters":4`,
			`"outcomeSeconds":{"p50":0.0015,"p99":0.00199}`, `"visibleSeconds":{"p50":0.051,"p99":0.09902}`,
		} {
			if !strings.Contains(string(text), want) {
				t.Errorf("the figures lack %s:\n%s", want, text)
			}
		}
		c := s.columns(kept)
		last := len(c.Time) - 1
		if last != 20 || c.Accepted[last] != 10 || c.Outcomes["refused"][last] != 5 || *c.VisibleP99[last] != 0.09902 || *c.Lag["users"][last] != 3 || *c.LagSeconds[last] != 1.5 {
			t.Errorf("the samples are %+v", c)
		}
		if c.OutcomeP50[0] != nil || c.Lag["stats"] != nil {
			t.Error("there are figures that nobody knows")
		}
	})
}

// The ring has 15 minutes, and the memory stays the same then.
func TestSamplerForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := sampling(t, new(process))
		time.Sleep(time.Hour)
		synctest.Wait()
		c := s.columns(2 * kept)
		if len(c.Time) != kept || len(c.Lag["users"]) != kept || c.Time[kept-1]-c.Time[0] != float64(kept-1) {
			t.Errorf("%d samples of %v seconds", len(c.Time), c.Time[len(c.Time)-1]-c.Time[0])
		}
		if cap(s.samples) > 2*kept || len(s.counts) != quantileSpan+1 {
			t.Errorf("room for %d samples, and %d counts", cap(s.samples), len(s.counts))
		}
	})
}

// Kafka and the store are asked once a second for any number of pages, one
// question at a time, and seldom without a page.
func TestSamplerAsksSeldom(t *testing.T) {
	t.Parallel()
	for name, slow := range map[string]time.Duration{"quick": 0, "slow": 2500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := &process{slow: slow}
				s := sampling(t, p)
				time.Sleep(time.Minute + time.Second/2)
				if got := p.asked.Load(); got > 5 {
					t.Errorf("asked %d times in a minute without a page", got)
				}
				p.asked.Store(0)
				news, leave := s.watch()
				_, leaveToo := s.watch()
				for range 60 {
					<-news
				}
				want := int64(60)
				if slow > 0 {
					want = 20
				}
				if got := p.asked.Load(); got < want-2 || got > want+2 {
					t.Errorf("asked %d times in a minute with two pages, want about %d", got, want)
				}
				leave()
				leaveToo()
				time.Sleep(5 * time.Second)
				p.asked.Store(0)
				time.Sleep(time.Minute)
				if got := p.asked.Load(); got > 5 {
					t.Errorf("asked %d times in a minute after the pages", got)
				}
			})
		})
	}
}

func TestOverviewForScripts(t *testing.T) {
	t.Parallel()
	p := &process{began: time.Now()}
	s := &Sampler{Counts: p.counts, Facts: p.facts, DeadLetters: func(context.Context) (int64, error) { return 0, errors.New("away") }}
	c := newConsole((&Overview{s}).Routes)
	w := ask(c, http.MethodGet, "/api/overview", "")
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"streams":5`) || !strings.Contains(w.Body.String(), `"deadLetters":null`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ask(c, http.MethodGet, "/api/overview/samples", ""); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"time":[]`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
