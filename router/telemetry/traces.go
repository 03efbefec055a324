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

	"github.com/millrace/millrace/router/web"
)

// Traces follows what is sampled through the process, from one message to the
// next by W3C traceparent (https://www.w3.org/TR/trace-context/), with the
// names of OpenTelemetry's semantic conventions. What isn't sampled leaves no
// mark: no span, and no header in the log.
type Traces struct {
	settings TraceSettings
	spans    trace.Tracer
	batches  trace.Tracer // of what has no parent, and is linked to what is sampled
	close    func(context.Context) error
}

// TraceSettings are where traces go, and what they say of the process.
type TraceSettings struct {
	// Endpoint is the base URL of an OTLP receiver over HTTP: /v1/traces follows
	// (OpenTelemetry Protocol, "OTLP/HTTP Request").
	Endpoint string
	// SampleRatio is the part of the requests that is traced, of those whose
	// client doesn't say.
	SampleRatio float64
	// Service is the name of the process among others.
	Service string
	Build   Build
	// Commands and Events are the topics' names.
	Commands, Events string
	Log              *slog.Logger
}

// NewTraces returns what sends traces. A receiver that is away is no error:
// they are lost, with a line in the log.
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

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error { return t.close(ctx) }

// samplingExporter logs what can't be sent, where the library would tell a
// global handler.
type samplingExporter struct {
	sdk.SpanExporter
	log        *slog.Logger
	logSampler web.LogSampler
}

// ExportSpans implements [sdk.SpanExporter].
func (e *samplingExporter) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.logSampler.Warn(e.log, "lost traces: their receiver can't be reached", "spans", len(spans), "error", err)
	}
	return nil
}

// traceParent writes W3C's header, "" for what isn't sampled.
func traceParent(span trace.Span) string {
	c := span.SpanContext()
	if !c.IsSampled() {
		return ""
	}
	return "00-" + c.TraceID().String() + "-" + c.SpanID().String() + "-01"
}

const headerTraceParent = "traceparent"

// under is a context in the trace that a header names.
func under(ctx context.Context, parent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTraceParent: parent})
}

// end ends a span of something that may have failed.
func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// request begins the span of a request, in its client's trace if it names one.
func (t *Traces) request(r *http.Request) (*http.Request, trace.Span) {
	ctx, span := t.spans.Start(under(r.Context(), r.Header.Get(headerTraceParent)), methodOf(r), trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(semconv.HTTPRequestMethodKey.String(methodOf(r)), semconv.URLPath(r.URL.Path)))
	if !span.IsRecording() {
		return r, nil
	}
	return r.WithContext(ctx), span
}

// endRequest ends it, named by its route.
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
