package service

import (
	"context"
	"log/slog"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/operations"
)

// openedLog is the log of the service, open for a command of the command line.
type openedLog struct {
	kafka  *kafka.Kafka
	topics kafka.Topics
	reader *kafka.LogReader
	logger *slog.Logger
}

// openLog makes or checks the topics, and opens the log. The caller must close
// the reader. A Kafka that doesn't answer in time is an error.
func openLog(in *invocation, cfg config.Config) (openedLog, error) {
	logger := newLogger(cfg.Log, in.stderr)
	k, err := newKafka(cfg, cfg.Kafka.Brokers, logger)
	if err != nil {
		return openedLog{}, err
	}
	reach, stop := context.WithTimeoutCause(in.ctx, operations.Timeout, operations.ErrNoAnswer)
	defer stop()
	topics, err := k.EnsureTopics(reach)
	if err != nil {
		return openedLog{}, why(reach, err)
	}
	reader, err := k.LogReader()
	return openedLog{k, topics, reader, logger}, err
}

// states is a state store of the log, with nothing folded yet.
func (l openedLog) states(in *invocation, cfg config.Config) *decider.StateStore {
	states := decider.NewStateStore(l.reader, in.service.folded, l.kafka.Partitions, cfg.Handlers.OutcomesPerStream, l.logger)
	states.EventsID = l.topics.EventsID
	return states
}
