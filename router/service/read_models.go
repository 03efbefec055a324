package service

import (
	"context"
	"errors"
	"io"

	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/readmodel"
)

// adminSession is a session of the command line with the store and the log,
// while services use both.
type adminSession struct {
	*operations.Models
	stdout io.Writer
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
	log, err := openLog(in, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.reader.Close()) }()
	store, err := openStore(in.ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if _, err := store.Checkpoints(in.ctx, in.service.projections()[0]); errors.Is(err, readmodel.ErrOldStore) || errors.Is(err, readmodel.ErrNewerStore) {
		return err
	}
	sayTarget(in.stderr, cfg, true)
	return do(in.ctx, &adminSession{&operations.Models{
		Store: store, Log: log.reader, Events: in.service.folded, Partitions: log.kafka.Partitions, Logger: log.logger,
	}, in.stdout})
}

// withProgress runs a function on the read models that shows its progress.
func withProgress(in *invocation, do func(context.Context, *adminSession) error) error {
	return withAdminSession(in, func(ctx context.Context, session *adminSession) error {
		ctx, giveUp := context.WithCancelCause(ctx)
		defer giveUp(nil)
		session.Progress, session.Compared = progress(ctx, in.stderr, giveUp), comparedShown(in.stderr)
		return why(ctx, do(ctx, session))
	})
}
