package service

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/eventlog"
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
	return `Before: stop what sends commands, and wait until all commands are decided. kafka.partitions of the configuration must be
the number with which the log was written, also if somebody has added partitions to the topics.

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
	done, err := from.CopyLog(ctx, to, from.Group("command-service"), progress(ctx, in.stderr, giveUp))
	if err != nil {
		return fmt.Errorf("copy the log: %w", why(ctx, err))
	}
	fmt.Fprintf(in.stdout, "copied %s to topic %s, with %d partitions\n", count(done.Records, "record"), to.Topic(eventlog.TopicEvents), c.Partitions)
	if done.Elsewhere > 0 {
		fmt.Fprintf(in.stdout, "left out %s in other partitions than their streams'\n", count(done.Elsewhere, "record"))
	}
	return nil
}
