package console

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/telemetry"
	"github.com/millrace/millrace/router/web"
)

// Overview is the view of how the process does.
type Overview struct {
	Sampler *Sampler
}

// Routes adds the routes of the view.
func (o *Overview) Routes(api *API) {
	api.Get("/api/overview", o.serve)
	api.Get("/api/overview/samples", o.samples)
	api.Events("/api/overview/events", func(*http.Request) (func(*EventStream) error, error) { return o.follow, nil })
}

// figures are the figures of a process at one time.
type figures struct {
	Time        string      `json:"time"`
	Ready       bool        `json:"ready"`
	Checks      []check     `json:"checks"`
	Commands    *commands   `json:"commands,omitempty"`
	Gateway     *gateway    `json:"gateway,omitempty"`
	Processors  *processors `json:"processors,omitempty"`
	State       *state      `json:"state,omitempty"`
	ReadModels  []readModel `json:"readModels,omitempty"`
	DeadLetters *int64      `json:"deadLetters"`
}

// check is a check of /readyz.
type check struct {
	Name       string `json:"name"`
	Ready      bool   `json:"ready"`
	WaitingFor string `json:"waitingFor,omitempty"`
}

// commands are rates of the last ten seconds, and numbers since the process
// started.
type commands struct {
	AcceptedPerSecond float64            `json:"acceptedPerSecond"`
	OutcomesPerSecond map[string]float64 `json:"outcomesPerSecond"`
	Accepted          float64            `json:"accepted"`
	Outcomes          map[string]float64 `json:"outcomes"`
	OutcomeSeconds    Quantiles          `json:"outcomeSeconds"`
	FailedAppends     float64            `json:"failedAppends"`
}

type gateway struct {
	InFlight       int `json:"inFlight"`
	InFlightLimit  int `json:"inFlightLimit"`
	Undecided      int `json:"undecided"`
	UndecidedLimit int `json:"undecidedLimit"`
}

type processors struct {
	Partitions int `json:"partitions"`
	Commands   int `json:"commands"`
}

type state struct {
	Streams          int    `json:"streams"`
	ParkedStreams    int    `json:"parkedStreams"`
	DeferredCommands int    `json:"deferredCommands"`
	StoppedStreams   int    `json:"stoppedStreams"`
	WaitingStreams   int    `json:"waitingStreams"`
	IgnoredRecords   int    `json:"ignoredRecords"`
	Lag              *int64 `json:"lag"`
}

type readModel struct {
	Name           string    `json:"name"`
	Generation     int       `json:"generation"`
	Lag            *int64    `json:"lag"`
	LagSeconds     *float64  `json:"lagSeconds"`
	ParkedStreams  int       `json:"parkedStreams"`
	RebuildLag     *int64    `json:"rebuildLag,omitempty"`
	VisibleSeconds Quantiles `json:"visibleSeconds"`
}

// serve answers with the figures of now.
func (o *Overview) serve(w http.ResponseWriter, r *http.Request) error {
	if !o.Sampler.fresh() {
		o.Sampler.ask(r.Context())
	}
	web.WriteJSON(w, http.StatusOK, o.Sampler.figures())
	return nil
}

// fresh says whether the facts are of the last seconds.
func (s *Sampler) fresh() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.asked) < 2*sampleEvery
}

// figures are the newest figures.
func (s *Sampler) figures() figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := figures{Time: eventlog.FormatTime(s.asked), Ready: !s.asked.IsZero(), Checks: []check{}, DeadLetters: s.letters}
	var now, before timedCounts
	if n := len(s.counts); n > 0 {
		now, before = s.counts[n-1], s.counts[0]
		f.Time = eventlog.FormatTime(now.at)
	}
	for _, name := range slices.Sorted(maps.Keys(s.facts.Ready)) {
		f.Checks = append(f.Checks, check{name, s.facts.Ready[name], s.facts.Waiting[name]})
		f.Ready = f.Ready && s.facts.Ready[name]
	}
	seconds := max(now.at.Sub(before.at).Seconds(), 0.001)
	if s.facts.State != nil || s.facts.Gateway != nil || s.facts.Processors != nil {
		c := &commands{
			AcceptedPerSecond: rounded((now.Accepted - before.Accepted) / seconds), Accepted: now.Accepted,
			OutcomesPerSecond: map[string]float64{}, Outcomes: map[string]float64{},
			OutcomeSeconds: quantiles(now.Outcome.Since(before.Outcome)), FailedAppends: now.FailedAppends,
		}
		for i, name := range telemetry.OutcomeNames() {
			c.OutcomesPerSecond[name], c.Outcomes[name] = rounded((now.Decided[i]-before.Decided[i])/seconds), now.Decided[i]
		}
		f.Commands = c
	}
	if g := s.facts.Gateway; g != nil {
		f.Gateway = &gateway{g.InFlight, g.MaxInFlight, g.Undecided, g.MaxUndecided}
	}
	if p := s.facts.Processors; p != nil {
		f.Processors = &processors{p.Partitions, p.Commands}
	}
	if st := s.facts.State; st != nil {
		f.State = &state{st.Streams, st.Parked, st.Deferred, st.Stopped, st.Waiting, st.Ignored, st.Lag}
	}
	for _, m := range s.facts.ReadModels {
		visible := quantiles(now.Visible[m.Name].Since(before.Visible[m.Name]))
		f.ReadModels = append(f.ReadModels, readModel{m.Name, m.Generation, m.Lag, m.LagSeconds, m.Parked, m.Rebuild, visible})
	}
	return f
}

// encoded are the newest figures and the newest sample as JSON, made once for
// all pages.
func (s *Sampler) encoded() ([]byte, error) {
	s.mu.Lock()
	var newest time.Time
	if n := len(s.samples); n > 0 {
		newest = s.samples[n-1].Time
	}
	text, same := s.text, newest.Equal(s.textOf)
	s.mu.Unlock()
	if same && text != nil {
		return text, nil
	}
	text, err := json.Marshal(struct {
		Figures figures `json:"figures"`
		Samples columns `json:"samples"`
	}{s.figures(), s.columns(1)})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.textOf = text, newest
	return text, err
}

// columns are samples by column: the nth item of each column belongs to the nth
// time.
type columns struct {
	Time       []float64             `json:"time"`
	Accepted   []float64             `json:"acceptedPerSecond"`
	Outcomes   map[string][]float64  `json:"outcomesPerSecond"`
	OutcomeP50 []*float64            `json:"outcomeP50"`
	OutcomeP99 []*float64            `json:"outcomeP99"`
	VisibleP50 []*float64            `json:"visibleP50"`
	VisibleP99 []*float64            `json:"visibleP99"`
	Undecided  []*int                `json:"undecided"`
	Parked     []*int                `json:"parkedStreams"`
	LagSeconds []*float64            `json:"lagSeconds"`
	Lag        map[string][]*float64 `json:"lag"`
}

// columns are the last n samples.
func (s *Sampler) columns(n int) columns {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.samples[max(0, len(s.samples)-n):]
	c := columns{
		Time: make([]float64, 0, len(last)), Accepted: make([]float64, 0, len(last)), Outcomes: map[string][]float64{}, Lag: map[string][]*float64{},
		OutcomeP50: []*float64{}, OutcomeP99: []*float64{}, VisibleP50: []*float64{}, VisibleP99: []*float64{},
		Undecided: []*int{}, Parked: []*int{}, LagSeconds: []*float64{},
	}
	for _, name := range telemetry.OutcomeNames() {
		c.Outcomes[name] = make([]float64, 0, len(last))
	}
	for i := range last {
		for name := range last[i].Lag {
			c.Lag[name] = make([]*float64, len(last))
		}
	}
	for i := range last {
		at := &last[i]
		c.Time = append(c.Time, float64(at.Time.UnixMilli())/1000)
		c.Accepted = append(c.Accepted, rounded(at.Accepted))
		for j, name := range telemetry.OutcomeNames() {
			c.Outcomes[name] = append(c.Outcomes[name], rounded(at.Outcomes[j]))
		}
		c.OutcomeP50, c.OutcomeP99 = append(c.OutcomeP50, at.Outcome.P50), append(c.OutcomeP99, at.Outcome.P99)
		c.VisibleP50, c.VisibleP99 = append(c.VisibleP50, at.Visible.P50), append(c.VisibleP99, at.Visible.P99)
		c.Undecided, c.Parked, c.LagSeconds = append(c.Undecided, at.Undecided), append(c.Parked, at.Parked), append(c.LagSeconds, at.LagSeconds)
		for name, lag := range at.Lag {
			records := float64(lag)
			c.Lag[name][i] = &records
		}
	}
	return c
}

// samples answers with the samples of the last 15 minutes.
func (o *Overview) samples(w http.ResponseWriter, _ *http.Request) error {
	web.WriteJSON(w, http.StatusOK, o.Sampler.columns(kept))
	return nil
}

// follow sends the figures and the sample of every second.
func (o *Overview) follow(stream *EventStream) error {
	news, leave := o.Sampler.watch()
	defer leave()
	for {
		select {
		case <-news:
			text, err := o.Sampler.encoded()
			if err != nil {
				return err
			}
			if err := stream.SendJSON("sample", text); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}
