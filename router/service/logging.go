package service

import (
	"io"
	"log/slog"
	"time"

	"github.com/lmittmann/tint"

	"github.com/millrace/millrace/router/config"
)

// newLogger logs text for people, or JSON for machines.
func newLogger(cfg config.LogConfig, w io.Writer) *slog.Logger {
	levels := map[string]slog.Level{
		"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
	}
	level := levels[cfg.Level]
	terminal := isTerminal(w)
	if cfg.Format == "text" || cfg.Format == "auto" && terminal {
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: !terminal}))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
}
