package kafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/ThreeDotsLabs/watermill"

	"github.com/millrace/millrace/router/logging"
)

// repeatAfter is the least time between two warnings with the same message:
// when a broker goes away, each partition reports an error.
const repeatAfter = 5 * time.Second

// watermillLog is a Watermill logger that writes to a [slog.Logger]. Watermill's
// errors become warnings, because most of them say that a broker is away for a
// while. Watermill's info becomes debug: operators don't need such detail.
type watermillLog struct {
	log     *slog.Logger
	fields  watermill.LogFields
	sampler *logging.Sampler
}

// WatermillLog returns a Watermill logger that writes to log. Repeated errors
// are sampled; the lines between two warnings have level debug.
func WatermillLog(log *slog.Logger) watermill.LoggerAdapter {
	return watermillLog{log: log, sampler: &logging.Sampler{Interval: repeatAfter}}
}

func (l watermillLog) Error(msg string, err error, fields watermill.LogFields) {
	level, attrs := slog.LevelWarn, []slog.Attr{slog.Any("error", err)}
	switch skipped, due := l.sampler.Take(msg); {
	case !due:
		level = slog.LevelDebug
	case skipped > 0:
		attrs = append(attrs, logging.Skipped(skipped))
	}
	l.write(level, msg, fields, attrs...)
}

func (l watermillLog) Info(msg string, fields watermill.LogFields) {
	l.write(slog.LevelDebug, msg, fields)
}

func (l watermillLog) Debug(msg string, fields watermill.LogFields) {
	l.write(slog.LevelDebug-4, msg, fields)
}

func (l watermillLog) Trace(msg string, fields watermill.LogFields) {
	l.write(slog.LevelDebug-8, msg, fields)
}

func (l watermillLog) With(fields watermill.LogFields) watermill.LoggerAdapter {
	l.fields = l.fields.Add(fields)
	return l
}

func (l watermillLog) write(level slog.Level, msg string, fields watermill.LogFields, attrs ...slog.Attr) {
	ctx := context.Background()
	if !l.log.Enabled(ctx, level) {
		return
	}
	all := l.fields.Add(fields)
	for _, key := range slices.Sorted(maps.Keys(all)) {
		attrs = append(attrs, slog.Any(key, all[key]))
	}
	l.log.LogAttrs(ctx, level, msg, attrs...)
}
