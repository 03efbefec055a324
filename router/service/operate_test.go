package service

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/decider"
)

// A session of the command line keeps the streams on disk, deletes them
// afterwards, and needs no data folder.
func TestSessionKeepsStreamsOnDisk(t *testing.T) {
	t.Parallel()
	cfg := config.Config{DataDir: t.TempDir()}
	cfg.Handlers.Memory = 16 << 20
	log := slog.New(slog.DiscardHandler)
	begin := func(cfg config.Config) (onDisk bool, done func()) {
		states := decider.NewStateStore(nil, nil, 1, 1, log)
		done = keepOnDisk(states, cfg, log)
		return states.Disk != nil, done
	}
	onDisk, done := begin(cfg)
	if !onDisk {
		t.Error("the streams of a session are in memory")
	}
	besideIt, besideDone := begin(cfg)
	if besideIt {
		t.Error("two sessions share a folder")
	}
	besideDone()
	if _, err := os.Stat(filepath.Join(cfg.DataDir, "parked")); err != nil {
		t.Errorf("the second session deletes the first one's folder: %v", err)
	}
	done()
	if left, err := os.ReadDir(cfg.DataDir); err != nil || len(left) > 0 {
		t.Errorf("a session leaves %v, %v", left, err)
	}
	cfg.DataDir = filepath.Join(cfg.DataDir, "none")
	if onDisk, done = begin(cfg); onDisk {
		t.Error("a session makes a data folder")
	}
	done()
}
