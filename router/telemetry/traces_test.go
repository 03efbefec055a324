package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/millrace/millrace/router/eventlog"
)

// away is an exporter without a receiver.
type away struct{ sdk.SpanExporter }

func (away) ExportSpans(context.Context, []sdk.ReadOnlySpan) error { return io.ErrUnexpectedEOF }

func traces(t *testing.T, ratio float64) *Traces {
	t.Helper()
	traces, err := NewTraces(t.Context(), TraceSettings{
		Endpoint: "http://127.0.0.1:1", SampleRatio: ratio, Commands: "commands", Events: "events",
		Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return traces
}

// A missing receiver causes no error, and a line in the log.
func TestTracesOfNobody(t *testing.T) {
	t.Parallel()
	log := new(strings.Builder)
	e := &samplingExporter{SpanExporter: away{}, log: slog.New(slog.NewTextHandler(log, nil))}
	if err := e.ExportSpans(t.Context(), make([]sdk.ReadOnlySpan, 3)); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "lost traces") {
		t.Errorf("it logged:\n%s", log)
	}
}

// Without sampling a command gets no trace, and no header.
func TestSampling(t *testing.T) {
	t.Parallel()
	const sampled = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, test := range []struct {
		ratio  float64
		header string
		traced bool
	}{
		{1, "", true},
		{0, "", false},
		{0, sampled, true},
		{1, strings.TrimSuffix(sampled, "1") + "0", false},
		{0, "nonsense", false},
	} {
		traces := traces(t, test.ratio)
		m := NewMetrics(Build{}, nil, everything)
		var command eventlog.Envelope
		sent := false
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			sent = traces.Sending(r.Context(), &command) != nil
		})
		r := httptest.NewRequest(http.MethodPost, "/commands", http.NoBody)
		r.Header.Set("Traceparent", test.header)
		m.Requests("commands", mux.NewRouter(), handler, traces).ServeHTTP(httptest.NewRecorder(), r)
		if sent != test.traced || (command.Trace != "") != test.traced {
			t.Errorf("ratio %g, traceparent %q: traced by %q", test.ratio, test.header, command.Trace)
		}
		if test.header == sampled && !strings.HasPrefix(command.Trace, sampled[:36]) {
			t.Errorf("traced by %q, not the client's trace", command.Trace)
		}
	}
}
