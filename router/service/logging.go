package service

import (
	"io"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/kafka/connection"
)

// newLogger logs text for people, or JSON for machines.
func newLogger(cfg config.LogConfig, w io.Writer) *slog.Logger {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level := levels[cfg.Level]
	terminal := isTerminal(w)
	if cfg.Format == "text" || cfg.Format == "auto" && terminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !terminal, ReplaceAttr: plainErrors}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: plainErrors}))
}

// plainErrors gives errors of the Kafka client words for operators.
func plainErrors(_ []string, a slog.Attr) slog.Attr {
	if err, ok := a.Value.Any().(error); ok {
		a.Value = slog.AnyValue(connection.Explain(err))
	}
	return a
}
