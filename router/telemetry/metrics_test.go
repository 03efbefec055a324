package telemetry

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/millrace/millrace/router/eventlog"
)

// everything returns the facts of a process with all roles.
func everything(context.Context) Facts {
	lag, seconds := int64(3), 1.5
	return Facts{
		Ready:      map[string]bool{"kafka": true, "store": false},
		Gateway:    &Gateway{InFlight: 1, MaxInFlight: 2, Undecided: 3, MaxUndecided: 4},
		Processors: &Processors{Partitions: 12, Commands: 5, Late: 2500 * time.Millisecond},
		State:      &State{Streams: 6, Outcomes: 7, Lag: &lag, Parked: 1, Deferred: 2, Scheduled: 22, Stopped: 1, Waiting: 8, Ignored: 4, Cached: 9, Unwritten: 10, Hits: 11, Misses: 12},
		Disk:       &StateDisk{Full: true, Bytes: 13, Written: 14, Debt: 15, Stalls: 16, Stalled: 1500 * time.Millisecond},
		Public:     []PublicTopic{{Topic: "lists", Lag: 17, Published: 18}},
		Reactions:  []Reaction{{Name: "transfers", Lag: 19, Parked: 20, Open: 21}},
		ReadModels: []ReadModel{{Name: "users", Generation: 2, Lag: &lag, LagSeconds: &seconds, Parked: 1, Rebuild: &lag}},
	}
}

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler(slog.New(slog.DiscardHandler)).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	if answer.Code != http.StatusOK {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	have := strings.Split(text, "\n")
	for _, line := range lines {
		if !slices.Contains(have, line) {
			name, _, _ := strings.Cut(line, " ")
			name, _, _ = strings.Cut(name, "{")
			t.Errorf("there is no\n\t%s\namong\n\t%s", line, strings.Join(slices.DeleteFunc(slices.Clone(have), func(l string) bool { return !strings.HasPrefix(l, name) }), "\n\t"))
		}
	}
}

// Names, units and help follow the conventions of Prometheus.
func TestMetricsAreWellNamed(t *testing.T) {
	t.Parallel()
	m := NewMetrics(Build{}, []string{"createUser"}, everything)
	m.Batches("users")(1, time.Second)
	h := m.Requests("queries", mux.NewRouter(), http.NotFoundHandler(), nil)
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	problems, err := promlint.New(strings.NewReader(scrape(t, m))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "millrace_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	wantLines(t, scrape(t, NewMetrics(Build{}, nil, everything)),
		`millrace_ready{check="kafka"} 1`, `millrace_ready{check="store"} 0`,
		`millrace_gateway_in_flight_commands 1`, `millrace_gateway_in_flight_commands_limit 2`,
		`millrace_gateway_undecided_commands 3`, `millrace_gateway_undecided_commands_limit 4`,
		`millrace_processor_partitions 12`, `millrace_processor_commands 5`,
		`millrace_state_streams 6`, `millrace_state_outcomes 7`, `millrace_state_lag_records 3`,
		`millrace_state_parked_streams 1`, `millrace_state_deferred_commands 2`, `millrace_state_scheduled_commands 22`, `millrace_processor_late_seconds 2.5`, `millrace_state_stopped_streams 1`, `millrace_state_waiting_streams 8`, `millrace_state_ignored_records 4`,
		`millrace_state_cached_streams 9`, `millrace_state_unwritten_streams 10`, `millrace_state_cache_hits_total 11`, `millrace_state_cache_misses_total 12`,
		`# TYPE millrace_state_cache_hits_total counter`, `millrace_state_disk_full 1`, `millrace_state_disk_bytes 13`, `millrace_state_disk_written_bytes_total 14`,
		`millrace_state_disk_compaction_debt_bytes 15`, `millrace_state_disk_stalls_total 16`, `millrace_state_disk_stalled_seconds_total 1.5`,
		`millrace_public_topic_lag_records{topic="lists"} 17`, `millrace_public_topic_events_total{topic="lists"} 18`,
		`millrace_reaction_lag_records{reaction="transfers"} 19`, `millrace_reaction_parked_streams{reaction="transfers"} 20`, `millrace_reaction_open_streams{reaction="transfers"} 21`,
		`millrace_read_model_generation{read_model="users"} 2`,
		`millrace_read_model_lag_records{read_model="users"} 3`, `millrace_read_model_lag_seconds{read_model="users"} 1.5`,
		`millrace_read_model_parked_streams{read_model="users"} 1`, `millrace_read_model_rebuild_lag_records{read_model="users"} 3`,
	)
}

// Unknown facts are left out, because a 0 would be wrong.
func TestUnknownFactsAreLeftOut(t *testing.T) {
	t.Parallel()
	text := scrape(t, NewMetrics(Build{}, nil, func(context.Context) Facts {
		return Facts{State: new(State), ReadModels: []ReadModel{{Name: "users"}}}
	}))
	for _, name := range []string{"millrace_state_lag", "millrace_read_model_lag", "millrace_read_model_rebuild", "millrace_gateway", "millrace_processor"} {
		if strings.Contains(text, name) {
			t.Errorf("there is a %s", name)
		}
	}
	wantLines(t, text, `millrace_state_streams 0`, `millrace_read_model_parked_streams{read_model="users"} 0`)
}

func TestWriteSide(t *testing.T) {
	t.Parallel()
	m := NewMetrics(Build{}, []string{"createUser", "renameUser"}, everything)
	w := m.WriteSide()
	w.Accepted("createUser")
	w.Accepted("somethingNew")
	for _, of := range []struct{ command, record string }{
		{"createUser", "userCreated"},
		{"createUser", eventlog.TypeCommandRefused},
		{"renameUser", eventlog.TypeCommandUnchanged},
		{"renameUser", eventlog.TypeCommandParked},
		{"renameUser", eventlog.TypeCommandQueued},
		{"", "userCreated"},
	} {
		w.Decided(of.command, &eventlog.Record{Type: of.record, Time: time.Now()})
	}
	w.Appended(time.Millisecond, nil)
	w.Appended(time.Second, io.ErrUnexpectedEOF)
	w.DeadLettered()
	wantLines(t, scrape(t, m),
		`millrace_commands_accepted_total{type="createUser"} 1`,
		`millrace_commands_accepted_total{type="other"} 1`,
		`millrace_commands_accepted_total{type="renameUser"} 0`,
		`millrace_commands_decided_total{outcome="succeeded",type="createUser"} 1`,
		`millrace_commands_decided_total{outcome="refused",type="createUser"} 1`,
		`millrace_commands_decided_total{outcome="parked",type="createUser"} 0`,
		`millrace_commands_decided_total{outcome="unchanged",type="renameUser"} 1`,
		`millrace_commands_decided_total{outcome="parked",type="renameUser"} 1`,
		`millrace_commands_decided_total{outcome="queued",type="renameUser"} 1`,
		`millrace_commands_decided_total{outcome="succeeded",type="other"} 1`,
		`millrace_command_outcome_seconds_count 6`,
		`millrace_append_duration_seconds_count 1`, `millrace_append_failures_total 1`,
		`millrace_dead_letters_total 1`,
	)
}

func TestWriteSideAllocatesNothing(t *testing.T) {
	w := NewMetrics(Build{}, []string{"createUser"}, everything).WriteSide()
	r := &eventlog.Record{Type: "userCreated", Time: time.Now()}
	n := testing.AllocsPerRun(100, func() {
		w.Accepted("createUser")
		w.Decided("createUser", r)
		w.Appended(time.Millisecond, nil)
	})
	if n > 0 {
		t.Errorf("%v allocations a command", n)
	}
}

// The label route has the router's routes, not the paths of clients. A request
// that never reaches the router counts too.
func TestRequests(t *testing.T) {
	t.Parallel()
	m := NewMetrics(Build{}, nil, everything)
	router := mux.NewRouter()
	router.Handle("/users/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/users/1":
			_, _ = w.Write([]byte("Alice"))
		case "/users/2":
			panic(errors.New("a fault"))
		case "/users/3":
			wantLines(t, scrape(t, m), `millrace_http_requests_in_flight{address="queries",route="/users/{id}"} 1`)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusGone)
		}
	})).Methods(http.MethodGet)
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		router.ServeHTTP(struct{ http.ResponseWriter }{w}, r) // hides its inner writer
	})
	open := m.Requests("queries", router, router, nil)
	closed := m.Requests("commands", mux.NewRouter(), guarded, nil)
	ask := func(h http.Handler, method, path, token string) {
		defer func() { _ = recover() }()
		r := httptest.NewRequest(method, path, http.NoBody)
		r.Header.Set("Authorization", token)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	ask(open, http.MethodGet, "/users/1", "")
	ask(open, http.MethodGet, "/users/2", "")
	ask(open, http.MethodGet, "/users/3", "")
	ask(open, http.MethodGet, "/users/4", "")
	ask(open, http.MethodDelete, "/users/4", "")
	ask(open, "BREW", "/coffee", "")
	ask(closed, http.MethodGet, "/users/1", "wrong")
	ask(closed, http.MethodGet, "/users/1", "")
	wantLines(t, scrape(t, m),
		`millrace_http_requests_total{address="queries",code="200",method="GET",route="/users/{id}"} 2`,
		`millrace_http_requests_total{address="queries",code="500",method="GET",route="/users/{id}"} 1`,
		`millrace_http_requests_total{address="queries",code="410",method="GET",route="/users/{id}"} 1`,
		`millrace_http_requests_total{address="queries",code="405",method="DELETE",route="none"} 1`,
		`millrace_http_requests_total{address="queries",code="404",method="other",route="none"} 1`,
		`millrace_http_requests_total{address="commands",code="401",method="GET",route="none"} 1`,
		`millrace_http_requests_total{address="commands",code="200",method="GET",route="none"} 1`,
		`millrace_http_requests_in_flight{address="queries",route="/users/{id}"} 0`,
		`millrace_http_request_duration_seconds_count{address="queries",method="GET",route="/users/{id}"} 4`,
	)
}

func TestReadSide(t *testing.T) {
	t.Parallel()
	m := NewMetrics(Build{}, nil, everything)
	m.Batches("users")(7, time.Second)
	m.ReadAfter(time.Millisecond, false)
	m.ReadAfter(time.Second, true)
	wantLines(t, scrape(t, m),
		`millrace_read_model_batch_records_sum{read_model="users"} 7`,
		`millrace_read_model_batch_duration_seconds_sum{read_model="users"} 1`,
		`millrace_read_after_wait_seconds_count 2`,
		`millrace_read_after_timeouts_total 1`,
	)
}
