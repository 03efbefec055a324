package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/router/eventlog"
)

// Sending starts the span "send <topic>" in the context's trace, and puts the
// span into the command's Trace. Sending returns a callback for the result of
// sending, nil for a command without a sampled trace.
func (t *Traces) Sending(ctx context.Context, c *eventlog.Envelope) func(error) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return nil
	}
	_, span := t.spans.Start(ctx, "send "+t.settings.Commands, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(append(
		commandAttributes(c), semconv.MessagingSystemKafka, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("send"),
		semconv.MessagingDestinationName(t.settings.Commands),
	)...))
	c.Trace = traceParent(span)
	return func(err error) { end(span, err) }
}

// Decided adds the span "decide <topic>" of a decision. Decided returns the
// span's traceparent, "" for a command without a sampled trace.
func (t *Traces) Decided(c *eventlog.Envelope, r *eventlog.Record, began time.Time) string {
	_, span := t.spans.Start(under(context.Background(), c.Trace), "decide "+t.settings.Commands,
		trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(append(
			commandAttributes(c), semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("decide"),
			semconv.MessagingDestinationName(t.settings.Commands), partitionOf(c.Partition), semconv.MessagingKafkaOffset(int(c.Offset)),
			attribute.String("millrace.outcome", r.Type),
		)...))
	span.End()
	return traceParent(span)
}

// Appending starts the span "append <topic>" under a traceparent, and puts the
// span into the record's Trace. Appending returns a callback for the result of
// the append.
func (t *Traces) Appending(r *eventlog.Record, parent string) func(error) {
	_, span := t.spans.Start(under(context.Background(), parent), "append "+t.settings.Events,
		trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(append(
			recordAttributes(r), semconv.MessagingSystemKafka, semconv.MessagingOperationTypeSend, semconv.MessagingOperationName("append"),
			semconv.MessagingDestinationName(t.settings.Events), partitionOf(r.Partition),
		)...))
	r.Trace = traceParent(span)
	return func(err error) { end(span, err) }
}

// Folds returns a callback for the batches of a read model. The callback adds a
// trace for the batch, and the span "fold <read model>" to the trace of each
// traced record, with a link to the batch.
func (t *Traces) Folds(readModel, group string) func(traced []*eventlog.Record, size int, began time.Time) {
	model := attribute.String("millrace.read_model", readModel)
	common := []attribute.KeyValue{
		model, semconv.MessagingSystemKafka, semconv.MessagingOperationTypeProcess, semconv.MessagingOperationName("fold"),
		semconv.MessagingDestinationName(t.settings.Events), semconv.MessagingConsumerGroupName(group),
	}
	return func(traced []*eventlog.Record, size int, began time.Time) {
		_, batch := t.batches.Start(context.Background(), "batch "+readModel, trace.WithTimestamp(began),
			trace.WithAttributes(model, semconv.MessagingBatchMessageCount(size)))
		batch.End()
		for _, r := range traced {
			attributes := append(recordAttributes(r), common...)
			attributes = append(attributes, partitionOf(r.Partition), semconv.MessagingKafkaOffset(int(r.Offset)))
			_, span := t.spans.Start(under(context.Background(), r.Trace), "fold "+readModel,
				trace.WithTimestamp(began), trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithLinks(trace.Link{SpanContext: batch.SpanContext()}), trace.WithAttributes(attributes...))
			span.End()
		}
	}
}

func commandAttributes(c *eventlog.Envelope) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingMessageID(c.ID), semconv.MessagingKafkaMessageKey(c.Stream), attribute.String("millrace.command_type", c.Type),
	}
}

func recordAttributes(r *eventlog.Record) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingMessageID(r.ID), semconv.MessagingKafkaMessageKey(r.Stream),
		attribute.String("millrace.command_id", r.CommandID), attribute.String("millrace.record_type", r.Type),
	}
}
