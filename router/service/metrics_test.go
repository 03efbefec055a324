package service

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// metrics are the metrics of a service, line by line.
func (s *stack) metrics(of *service) []string {
	s.t.Helper()
	got, err := send(s.client, http.MethodGet, "http://"+of.at.Admin+"/metrics", "", "")
	if err != nil || got.status != http.StatusOK {
		s.t.Fatalf("GET /metrics: %s, %v", got, err)
	}
	return strings.Split(got.body, "\n")
}

// waitForMetrics waits until a service has all of these metrics.
func (s *stack) waitForMetrics(of *service, want ...string) {
	s.t.Helper()
	eventually(s.t, "the metrics", func() error {
		have := s.metrics(of)
		var errs []error
		for _, line := range want {
			if slices.Contains(have, line) {
				continue
			}
			name, _, _ := strings.Cut(line, " ")
			instead := "nothing"
			for _, other := range have {
				if strings.HasPrefix(other, name+" ") {
					instead = other
				}
			}
			errs = append(errs, fmt.Errorf("%s, want %s", instead, line))
		}
		return errors.Join(errs...)
	})
}

// After known traffic the metrics are exact.
func TestMetricsAfterKnownTraffic(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(brokenRule, "broken")
	s.startOneProcess()
	all := s.commandService
	for command, status := range map[string]int{ // of users of their own, so in any order
		`{"type":"createUser","payload":{"id":1,"name":"Alice"}}`:               http.StatusOK,
		`{"type":"createUser","payload":{"id":2,"name":"Bob"}}`:                 http.StatusOK,
		`{"type":"renameUser","payload":{"id":3,"name":"Nobody"}}`:              http.StatusNotFound,
		`{"type":"breakUser","payload":{"id":4,"name":"Broken"}}`:               http.StatusInternalServerError,
		`{"type":"noSuchType","payload":{"id":5,"name":"Broken"}}`:              http.StatusBadRequest,
		`{"type":"createUser","payload":{"id":6,"name":"Eve"},"id":"repeated"}`: http.StatusOK,
	} {
		if got := s.wait(command); got.status != status {
			t.Fatalf("%s: %s", command, got)
		}
	}
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Alice"}}`)
	s.accept(`{"type":"renameUser","payload":{"id":4,"name":"Behind"}}`)
	s.accept(`{"type":"createUser","payload":{"id":6,"name":"Eve"},"id":"repeated"}`)
	for _, path := range []string{"/users/1", "/users/2", "/users/none", "/nothing/here"} {
		if _, err := s.get(path); err != nil {
			t.Fatal(err)
		}
	}
	const records = 7
	want := []string{
		`millrace_commands_accepted_total{type="createUser"} 4`,
		`millrace_commands_accepted_total{type="renameUser"} 3`,
		`millrace_commands_accepted_total{type="breakUser"} 1`,
		`millrace_commands_accepted_total{type="other"} 0`,
		`millrace_commands_decided_total{outcome="succeeded",type="createUser"} 3`,
		`millrace_commands_decided_total{outcome="refused",type="createUser"} 0`,
		`millrace_commands_decided_total{outcome="unchanged",type="renameUser"} 1`,
		`millrace_commands_decided_total{outcome="refused",type="renameUser"} 1`,
		`millrace_commands_decided_total{outcome="queued",type="renameUser"} 1`,
		`millrace_commands_decided_total{outcome="parked",type="breakUser"} 1`,
		fmt.Sprintf(`millrace_command_outcome_seconds_count %d`, records),
		fmt.Sprintf(`millrace_append_duration_seconds_count %d`, records),
		`millrace_append_failures_total 0`,
		`millrace_dead_letters_total 0`,
		`millrace_gateway_in_flight_commands 0`,
		`millrace_gateway_in_flight_commands_limit 1024`,
		`millrace_gateway_undecided_commands 0`,
		`millrace_gateway_undecided_commands_limit 10000`,
		`millrace_processor_partitions 12`,
		`millrace_processor_commands 0`,
		`millrace_state_streams 5`,
		`millrace_state_lag_records 0`,
		`millrace_state_parked_streams 1`,
		`millrace_state_deferred_commands 2`,
		`millrace_state_stopped_streams 0`,
		`millrace_http_requests_total{address="commands",code="200",method="POST",route="/commands"} 3`,
		`millrace_http_requests_total{address="commands",code="202",method="POST",route="/commands"} 3`,
		`millrace_http_requests_total{address="commands",code="400",method="POST",route="/commands"} 1`,
		`millrace_http_requests_total{address="commands",code="404",method="POST",route="/commands"} 1`,
		`millrace_http_requests_total{address="commands",code="500",method="POST",route="/commands"} 1`,
		`millrace_http_requests_total{address="queries",code="404",method="GET",route="none"} 1`,
		`millrace_http_request_duration_seconds_count{address="queries",method="GET",route="/users/{id}"} 3`,
		`millrace_http_requests_in_flight{address="queries",route="/users/{id}"} 0`,
		`millrace_read_after_timeouts_total 0`,
	}
	for _, check := range []string{"kafka", "store", "command-service", "query-service", "read-api"} {
		want = append(want, fmt.Sprintf(`millrace_ready{check=%q} 1`, check))
	}
	for _, model := range registeredDomain(t).names() {
		of := fmt.Sprintf("{read_model=%q}", model)
		want = append(want,
			fmt.Sprintf("millrace_read_model_batch_records_sum%s %d", of, records),
			fmt.Sprintf("millrace_read_model_lag_records%s 0", of),
			fmt.Sprintf("millrace_read_model_lag_seconds%s 0", of),
			fmt.Sprintf("millrace_read_model_parked_streams%s 0", of),
			fmt.Sprintf("millrace_read_model_generation%s 1", of),
		)
	}
	s.waitForMetrics(all, want...)
	for _, name := range []string{"go_goroutines ", "process_resident_memory_bytes ", "millrace_build_info{"} {
		if !slices.ContainsFunc(s.metrics(all), func(line string) bool { return strings.HasPrefix(line, name) }) {
			t.Errorf("there is no %s", name)
		}
	}
}

// A read model without a query service is late: in records, and in seconds.
func TestMetricsOfALateReadModel(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	s.accept(createAlice)
	s.waitForUser(alice)
	s.queryService.kill()
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Late"}}`)
	s.waitForMetrics(s.readAPI, `millrace_read_model_lag_records{read_model="users"} 1`, `millrace_ready{check="store"} 1`)
	eventually(t, "it is a second late", func() error {
		for _, line := range s.metrics(s.readAPI) {
			var seconds float64
			if _, err := fmt.Sscanf(line, `millrace_read_model_lag_seconds{read_model="users"} %g`, &seconds); err == nil && seconds >= 1 {
				return nil
			}
		}
		return errors.New("it is not")
	})
}
