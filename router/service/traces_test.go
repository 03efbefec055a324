package service

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/millrace/millrace/router/eventlog"
)

// receiver takes traces as OpenTelemetry's collector does, OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []received
}

// received is a span with the process of the span.
type received struct {
	*trace.Span
	service string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var export collector.ExportTraceServiceRequest
		if err != nil || req.URL.Path != "/v1/traces" || proto.Unmarshal(body, &export) != nil {
			t.Errorf("%s %s: %v", req.Method, req.URL, err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, of := range export.ResourceSpans {
			for _, scope := range of.ScopeSpans {
				for _, span := range scope.Spans {
					r.spans = append(r.spans, received{span, serviceOf(of.Resource)})
				}
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func serviceOf(r *resource.Resource) string {
	for _, a := range r.GetAttributes() {
		if a.Key == "service.name" {
			return a.Value.GetStringValue()
		}
	}
	return ""
}

// of are the spans of a trace, by name.
func (r *receiver) of(traceID string) map[string]received {
	r.mu.Lock()
	defer r.mu.Unlock()
	spans := map[string]received{}
	for _, span := range r.spans {
		if hex.EncodeToString(span.TraceId) == traceID {
			spans[span.Name] = span
		}
	}
	return spans
}

// traceHeaders are the trace headers of the messages of a topic, by command id,
// "" for none.
func (s *stack) traceHeaders(topic string) map[string]string {
	s.t.Helper()
	found := map[string]string{}
	for _, m := range s.dump(topic) {
		var id, header string
		for _, h := range m.Headers {
			switch string(h.Key) {
			case eventlog.HeaderCommandID:
				id = string(h.Value)
			case eventlog.HeaderTraceParent:
				header = string(h.Value)
			}
		}
		found[id] = header
	}
	return found
}

// traced sends a request in a trace.
func (s *stack) traced(traceParent, method, url, body, after string) answer {
	s.t.Helper()
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Traceparent", traceParent)
	if after == "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Prefer", "wait=10")
	} else {
		request.Header.Set("Read-After", after)
	}
	got, err := do(s.client, request)
	if err != nil || got.status != http.StatusOK {
		s.t.Fatalf("%s: %s, %v", url, got, err)
	}
	return got
}

// One trace holds the whole way of a command, through three processes, and a
// read after the command. Requests that are not sampled leave no mark in the
// topics.
func TestOneTraceHoldsACommandsWay(t *testing.T) {
	t.Parallel()
	const (
		id     = "4bf92f3577b34da6a3ce929d0e0e4736"
		client = "00f067aa0ba902b7"
	)
	sink := newReceiver(t)
	s := newStack(t)
	s.shared["telemetry.traces.endpoint"] = sink.URL
	s.shared["telemetry.traces.sample_ratio"] = "0"
	s.startTerminals()
	commands, queries := "http://"+s.commandService.at.Commands+"/commands", "http://"+s.readAPI.at.Queries
	got := s.traced("00-"+id+"-"+client+"-01", http.MethodPost, commands, `{"type":"createUser","payload":{"id":1,"name":"Alice"},"id":"traced"}`, "")
	s.traced("00-"+id+"-"+client+"-01", http.MethodGet, queries+"/users/1", "", got.header.Get("Position"))
	s.traced("00-"+strings.Repeat("ab", 16)+"-"+client+"-00", http.MethodPost, commands, `{"type":"renameUser","payload":{"id":1,"name":"Al"},"id":"unsampled"}`, "")
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Ali"},"id":"untraced"}`)
	s.waitForUser(user{ID: "1", Name: "Ali", Version: 3, Active: true})
	for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents} {
		headers := s.traceHeaders(topic)
		if !strings.HasPrefix(headers["traced"], "00-"+id+"-") {
			t.Errorf("topic %s: %q", topic, headers["traced"])
		}
		delete(headers, "traced")
		if diff := cmp.Diff(map[string]string{"unsampled": "", "untraced": ""}, headers); diff != "" {
			t.Errorf("topic %s: %s", topic, diff)
		}
	}
	for _, service := range []*service{s.commandService, s.queryService, s.readAPI} { // what is left is sent
		service.signal(t, syscall.SIGTERM)
		service.exit(t, patience)
	}
	spans := sink.of(id)
	send, decide, appends := "send "+s.topic(eventlog.TopicCommands), "decide "+s.topic(eventlog.TopicCommands), "append "+s.topic(eventlog.TopicEvents)
	want := map[string]struct{ parent, service string }{
		"POST /commands":  {client, "command-service"},
		send:              {"POST /commands", "command-service"},
		decide:            {send, "command-service"},
		appends:           {decide, "command-service"},
		"GET /users/{id}": {client, "read-api"},
	}
	for _, model := range registeredDomain(t).names() {
		want["fold "+model] = struct{ parent, service string }{appends, "query-service"}
	}
	for name, w := range want {
		span, ok := spans[name]
		if !ok {
			t.Errorf("there is no span %q", name)
			continue
		}
		parent := hex.EncodeToString(span.ParentSpanId)
		if w.parent != client {
			w.parent = hex.EncodeToString(spans[w.parent].GetSpanId())
		}
		if parent != w.parent || span.service != w.service {
			t.Errorf("span %q is under %s in %s, want %s in %s", name, parent, span.service, w.parent, w.service)
		}
	}
	for name := range spans {
		if _, ok := want[name]; !ok {
			t.Errorf("there is a span %q", name)
		}
	}
	sink.batches(t)
}

// batches checks that every fold is linked to its batch.
func (r *receiver) batches(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	folds := 0
	for _, fold := range r.spans {
		model, ok := strings.CutPrefix(fold.Name, "fold ")
		if !ok {
			continue
		}
		folds++
		if len(fold.Links) != 1 || !slices.ContainsFunc(r.spans, func(batch received) bool {
			return batch.Name == "batch "+model && string(batch.SpanId) == string(fold.Links[0].SpanId)
		}) {
			t.Errorf("%s is linked to no batch of its own", fold.Name)
		}
	}
	if folds != len(registeredDomain(t).names()) {
		t.Errorf("%d folds", folds)
	}
}
