package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/router/logging"
)

// Traces sends the spans of sampled requests and their commands. A trace goes
// from message to message by W3C traceparent
// (https://www.w3.org/TR/trace-context/). Names follow OpenTelemetry's semantic
// conventions. Without sampling a request leaves no span, and no header in the
// log.
type Traces struct {
	settings TraceSettings
	spans    trace.Tracer
	batches  trace.Tracer // for batches, which have no parent and a link from each traced record
	close    func(context.Context) error
}

// TraceSettings has the receiver of traces and the attributes of the process.
type TraceSettings struct {
	// Endpoint is the base URL of an OTLP receiver over HTTP, without /v1/traces
	// (OpenTelemetry Protocol, "OTLP/HTTP Request").
	Endpoint string
	// SampleRatio is the share of traced requests, from 0 to 1, among requests
	// without traceparent. With traceparent the client decides.
	SampleRatio float64
	// Service is the name of the process, service.name.
	Service string
	Build   Build
	// Commands and Events are the topics' names.
	Commands, Events string
	Log              *slog.Logger
}

// NewTraces returns a sender of traces. A missing receiver is no error: the
// traces are lost, with a line in the log.
func NewTraces(ctx context.Context, settings TraceSettings) (*Traces, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(settings.Endpoint+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	// Both providers hand their spans to the same queue.
	queue := sdk.NewBatchSpanProcessor(&samplingExporter{SpanExporter: exporter, log: settings.Log})
	of := resource.NewSchemaless(
		semconv.ServiceNamespace("millrace"), semconv.ServiceName(settings.Service),
		semconv.ServiceVersion(settings.Build.Version),
	)
	provider := func(sampler sdk.Sampler) *sdk.TracerProvider {
		return sdk.NewTracerProvider(sdk.WithSpanProcessor(queue), sdk.WithResource(of), sdk.WithSampler(sampler))
	}
	sampled := provider(sdk.ParentBased(sdk.TraceIDRatioBased(settings.SampleRatio)))
	always := provider(sdk.AlwaysSample())
	return &Traces{
		settings: settings,
		spans:    sampled.Tracer("github.com/millrace/millrace"),
		batches:  always.Tracer("github.com/millrace/millrace"),
		close: func(ctx context.Context) error {
			return errors.Join(sampled.Shutdown(ctx), always.Shutdown(ctx))
		},
	}, nil
}

// Close sends the remaining spans, until the context ends.
func (t *Traces) Close(ctx context.Context) error { return t.close(ctx) }

// samplingExporter logs failures to send spans. The library itself would report
// a failure to a global handler.
type samplingExporter struct {
	sdk.SpanExporter
	log        *slog.Logger
	logSampler logging.Sampler
}

// ExportSpans implements [sdk.SpanExporter].
func (e *samplingExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.logSampler.Warn(e.log, "lost traces: their receiver can't be reached", "spans", len(spans), "error", err)
	}
	return nil
}

// traceParent returns the traceparent of a span, "" for a span without sampling.
func traceParent(span trace.Span) string {
	c := span.SpanContext()
	if !c.IsSampled() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-01"
}

const headerTraceParent = "traceparent"

// under returns a context in the trace of a traceparent.
func under(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTraceParent: parent})
}

// end ends a span with the error of its work.
func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// request starts the span of a request, in the client's trace if the request has
// a traceparent. The span is nil without sampling.
func (t *Traces) request(r *http.Request) (*http.Request, trace.Span) {
	ctx, span := t.spans.Start(under(r.Context(), r.Header.Get(headerTraceParent)), methodOf(r), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(methodOf(r)), semconv.URLPath(r.URL.Path)))
	if !span.IsRecording() {
		return r, nil
	}
	return r.WithContext(ctx), span
}

// endRequest ends the span of a request, with the route in the span's name.
func endRequest(span trace.Span, method, route string, code int) {
	if route != noRoute {
		span.SetName(method + " " + route)
		span.SetAttributes(semconv.HTTPRoute(route))
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(code))
	if code >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, http.StatusText(code))
	}
	span.End()
}

func partitionOf(partition int32) attribute.KeyValue {
	return semconv.MessagingDestinationPartitionID(fmt.Sprint(partition))
}
