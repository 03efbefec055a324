package service

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strconv"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

type logCmd struct {
	Copy logCopyCmd `cmd:"" help:"Copy the log to new topics, with another number of partitions."`
}

type logCopyCmd struct {
	To         string `required:"" help:"The kafka.topic_prefix of the new topics." placeholder:"PREFIX"`
	Partitions int32  `required:"" help:"The kafka.partitions of the new topics."`
}

// Help says what to do before and after.
func (logCopyCmd) Help() string {
	return `Before: stop what sends commands, wait until all commands are decided and reactions have answered all records, and stop
all services. kafka.partitions of the configuration must be the number with which the log was written, also if somebody
has added partitions to the topics.

After: set kafka.topic_prefix and kafka.partitions to the new values for all services, give them an empty store or rebuild
the read models, and start them. Positions that clients have from the old log are no longer valid. The old topics stay.`
}

// Run copies the log.
func (c logCopyCmd) Run(in *invocation) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	if c.To == cfg.Kafka.TopicPrefix {
		return fmt.Errorf("--to %q is the present kafka.topic_prefix", c.To)
	}
	set := maps.Clone(in.cli.Set)
	if set == nil {
		set = map[string]string{}
	}
	set["kafka.topic_prefix"], set["kafka.partitions"] = c.To, strconv.Itoa(int(c.Partitions))
	target, err := config.Load(in.cli.Config, in.environ, set, in.service.keyNames())
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, in.stderr)
	from, err := newKafka(cfg, cfg.Kafka.Brokers, log)
	if err != nil {
		return err
	}
	to, err := newKafka(target, cfg.Kafka.Brokers, log)
	if err != nil {
		return err
	}
	ctx, giveUp := context.WithCancelCause(in.ctx)
	defer giveUp(nil)
	done, err := copyLog(ctx, in, cfg, from, to, log, progress(ctx, in.stderr, giveUp))
	if err != nil {
		return fmt.Errorf("copy the log: %w", why(ctx, err))
	}
	fmt.Fprintf(in.stdout, "copied %s to topic %s, with %d partitions\n", count(done.Records, "record"), to.Topic(eventlog.TopicEvents), c.Partitions)
	if done.Elsewhere > 0 {
		fmt.Fprintf(in.stdout, "left out %s in other partitions than their streams'\n", count(done.Elsewhere, "record"))
	}
	return nil
}

// copyLog copies the log, if all commands are decided and all causes are answered.
func copyLog(ctx context.Context, in *invocation, cfg config.Config, from, to *kafka.Kafka, log *slog.Logger, show func(copied, all int64)) (done kafka.CopiedLog, err error) {
	if err := from.CheckDecided(ctx, from.Group("command-service")); err != nil {
		return done, err
	}
	topics, err := from.IDs(ctx)
	if err != nil {
		return done, err
	}
	reader, err := from.LogReader()
	if err != nil {
		return done, err
	}
	defer func() { _ = reader.Close() }()
	moved := &movedReactions{
		invocation: in, openedLog: openedLog{from, topics, reader, log}, cfg: cfg,
		reactions: in.service.runs(true), heads: map[string]eventlog.Head{},
	}
	return moved.copy(ctx, to, show)
}
