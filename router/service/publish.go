package service

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/publish"
)

// publishing is an assignment handler that also publishes each assigned
// partition. A process that decides a partition writes the public topics of the
// partition.
type publishing struct {
	kafka.AssignmentHandler
	publisher *publish.Publisher // nil if nothing is published
	running   sync.WaitGroup
}

func (s *commandService) newPublishing(dispatcher *decider.Dispatcher, topics kafka.Topics, states *decider.StateStore, k writeSide) *publishing {
	p := &publishing{AssignmentHandler: dispatcher}
	if k.public != nil {
		p.publisher = &publish.Publisher{
			Topics: s.Service.publicTopics(s.Config), EventsID: topics.EventsID, Log: k.reader, Kafka: k.public, States: states, Logger: s.Log,
		}
	}
	return p
}

// publicTopics are the topics of publish.
func (r *registered) publicTopics(cfg config.Config) []publish.Topic {
	var topics []publish.Topic
	for _, t := range cfg.PublicTopics(r.plurals()) {
		topics = append(topics, publish.Topic{Name: t.Topic, Aggregate: r.registry.Type(t.Aggregate)})
	}
	return topics
}

// Setup implements [kafka.AssignmentHandler].
func (p *publishing) Setup(assignment *kafka.Assignment) (int64, error) {
	start, err := p.AssignmentHandler.Setup(assignment)
	if err == nil && p.publisher != nil {
		p.running.Go(func() { p.publisher.Run(assignment.Context, assignment.Partition) })
	}
	return start, err
}

// publishPatience is the longest wait for sends under way, when no partition is
// assigned any more.
const publishPatience = 3 * time.Second

// await waits for the ends of all assignments' publishing.
func (p *publishing) await() {
	done := make(chan struct{})
	go func() {
		p.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(publishPatience): // the next process repeats the events under way
	}
}

type publishCmd struct {
	Rebuild publishRebuildCmd `cmd:"" help:"Write all events of an aggregate to a new topic."`
}

type publishRebuildCmd struct {
	Aggregate string `arg:"" help:"The aggregate."`
	Topic     string `arg:"" help:"The new topic."`
}

// Help says when to use the command, and what to do afterwards.
func (publishRebuildCmd) Help() string {
	return `The events come from the log, in today's form; services go on meanwhile. An interrupted rebuild goes on where it has ended.

After: add AGGREGATE=TOPIC to publish, beside the present topic, and restart the command services: both topics are kept up.
When all readers have changed over, take the present topic out of publish, and delete the topic.`
}

// Run fills a topic.
func (c publishRebuildCmd) Run(in *invocation) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	// The new topic is as right or wrong as beside the present topics in publish.
	set := maps.Clone(in.cli.Set)
	if set == nil {
		set = map[string]string{}
	}
	set["publish"] = strings.Join(append(cfg.Publish, c.Aggregate+"="+c.Topic), ",")
	if cfg, err = config.Load(in.cli.Config, in.environ, set, in.service.keyNames()); err != nil {
		return err
	}
	all := in.service.publicTopics(cfg)
	topic := all[len(all)-1]
	log, err := openLog(in, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = log.reader.Close() }()
	sayTarget(in.stderr, cfg, false)
	public, err := log.kafka.PublicTopics()
	if err != nil {
		return err
	}
	defer func() { _ = public.Close() }()
	ctx, giveUp := context.WithCancelCause(in.ctx)
	defer giveUp(nil)
	r := &publish.Rebuilder{
		Topic: topic, Partitions: log.kafka.Partitions, EventsID: log.topics.EventsID, Log: log.reader, Kafka: public, Logger: log.logger,
	}
	published, err := r.Rebuild(ctx, progress(ctx, in.stderr, giveUp))
	if err != nil {
		return fmt.Errorf("rebuild topic %s: %w", topic.Name, why(ctx, err))
	}
	fmt.Fprintf(in.stdout, "wrote %s to topic %s; to keep it up, add %s=%s to publish\n", count(published, "event"), topic.Name, c.Aggregate, c.Topic)
	return nil
}
