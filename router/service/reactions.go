package service

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/reaction/runner"
)

// runs are reactions to run: the router's own, without which no command with a
// claim ends, and the team's, unless the configuration turns these off.
func (r *registered) runs(team bool) (all []runner.Reaction) {
	if r.claims() {
		all = append(all, runner.Unique())
	}
	if team {
		for _, one := range r.reactions {
			all = append(all, runner.Of(one, r.registry))
		}
	}
	return all
}

// claims reports whether an aggregate has values that must be unique.
func (r *registered) claims() bool {
	return slices.ContainsFunc(r.registry.Types(), (*aggregate.Type).HasClaims)
}

// newRunner returns the runner of all reactions.
func (s *commandService) newRunner(topics kafka.Topics, states *decider.StateStore, log decider.Log, send func(*eventlog.Envelope, func(eventlog.CommandPlace, error))) *runner.Runner {
	return &runner.Runner{
		Reactions: s.Service.runs(s.Config.Reactions.Enabled), States: states, Log: log, Send: send,
		TopicID: topics.EventsID, Partitions: s.kafka.Partitions, Now: time.Now, Logger: s.Log,
	}
}

// react runs the reactions until the returned function is called. The group of
// the reactions gives each partition to one process.
func (s *commandService) react(ctx context.Context, run *runner.Runner) (stop func()) {
	begin, cancel := context.WithCancel(ctx)
	begun := run.Begin(begin)
	end := func() {
		cancel()
		<-begun
	}
	if len(run.Reactions) == 0 {
		return end
	}
	s.stats.reactions.Store(run)
	group := s.kafka.WithoutMessages(s.kafka.Group("reactions"), run)
	if _, err := group.Subscribe(context.Background(), s.kafka.Topic(eventlog.TopicEvents)); err != nil {
		s.Log.Error("the reactions don't run", "error", err)
	}
	return func() {
		end()
		if err := group.Close(); err != nil {
			s.Log.Warn("stop the reactions", "error", err)
		}
	}
}
