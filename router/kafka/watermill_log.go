package kafka

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
)

// repeatAfter is how long the same complaint of a client is kept quiet: when
// a broker goes, each partition complains.
const repeatAfter = 5 * time.Second

// watermillLog is Watermill's logger on ours. What Watermill calls info is
// detail to those who run the service, and its errors are mostly of a broker
// that is away for a while.
type watermillLog struct {
	log    *slog.Logger
	fields watermill.LogFields
	said   *said
}

// said remembers when which complaint was last logged.
type said struct {
	mu sync.Mutex
	at map[string]time.Time
}

// WatermillLog makes a Watermill logger of ours.
func WatermillLog(log *slog.Logger) watermill.LoggerAdapter {
	return watermillLog{log: log, said: &said{at: map[string]time.Time{}}}
}

func (l watermillLog) Error(msg string, err error, fields watermill.LogFields) {
	level := slog.LevelWarn
	if l.said.lately(msg) {
		level = slog.LevelDebug
	}
	l.write(level, msg, fields, slog.Any("error", err))
}

func (s *said) lately(msg string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	lately := now.Sub(s.at[msg]) < repeatAfter
	if !lately {
		s.at[msg] = now
	}
	return lately
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
