package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// adminSession is a session of the command line with the store and the log,
// while services use both.
type adminSession struct {
	store      readmodel.Generations
	log        *kafka.LogReader
	partitions int32
	logger     *slog.Logger
	stdout     io.Writer
}

// withAdminSession opens store and log, and runs a function with both.
func withAdminSession(in *invocation, do func(context.Context, *adminSession) error) (err error) {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	if err := checkStoreTarget(cfg); err != nil {
		return err
	}
	logger := newLogger(cfg.Log, in.stderr)
	kafka, err := newKafka(cfg, cfg.Kafka.Brokers, logger)
	if err != nil {
		return err
	}
	reach, stop := context.WithTimeoutCause(in.ctx, operatorTimeout, errNoAnswer)
	defer stop()
	if _, err := kafka.EnsureTopics(reach); err != nil {
		return why(reach, err)
	}
	reader, err := kafka.LogReader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	store, err := openStore(in.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if _, err := store.Checkpoints(in.ctx, in.service.projections()[0]); errors.Is(err, readmodel.ErrOldStore) || errors.Is(err, readmodel.ErrNewerStore) {
		return err
	}
	sayTarget(in.stderr, cfg, true)
	return do(in.ctx, &adminSession{store, reader, kafka.Partitions, logger, in.stdout})
}

// scratchStore is an empty store. Closing deletes the store.
func scratchStore(ctx context.Context) (store readmodel.Store, closeIt func() error, err error) {
	dir, err := os.MkdirTemp("", "millrace-verify-")
	if err != nil {
		return nil, nil, fmt.Errorf("no room for the scratch database in %s; set TMPDIR to a folder that can be written: %w", os.TempDir(), err)
	}
	if store, err = sqlstore.OpenSQLite(ctx, filepath.Join(dir, "scratch.db")); err != nil {
		return nil, nil, errors.Join(err, os.RemoveAll(dir))
	}
	return store, func() error { return errors.Join(store.Close(), os.RemoveAll(dir)) }, nil
}
