package service

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/reaction/checkpoint"
	"github.com/millrace/millrace/router/reaction/runner"
)

// movedReactions takes reactions along to a copy of the log. In the copy all causes
// have other places, which no fence knows. So a log is copied only if its reactions
// have answered all records, and each reaction begins behind the end of the copy.
type movedReactions struct {
	*invocation
	openedLog // the old log
	cfg       config.Config
	reactions []runner.Reaction
	heads     map[string]eventlog.Head // of the reactions' own streams
}

// copy copies the log with its reactions.
func (m *movedReactions) copy(ctx context.Context, to *kafka.Kafka, show func(copied, all int64)) (done kafka.CopiedLog, err error) {
	if len(m.reactions) == 0 {
		return m.copyAll(ctx, to, show, func() error { return nil })
	}
	beside, err := m.kafka.LogReader() // a partition can't be read twice by one reader
	if err != nil {
		return done, err
	}
	defer func() { _ = beside.Close() }()
	err = m.fold(ctx, m.invocation, m.cfg, "", func(ctx context.Context, states *decider.StateStore) error {
		for _, r := range m.reactions {
			for partition := range m.kafka.Partitions {
				if err := runner.CheckAnswered(ctx, r, states, beside, m.topics.EventsID, partition); err != nil {
					return err
				}
			}
		}
		_, before, err := states.Progress(ctx)
		if err != nil {
			return err
		}
		done, err = m.copyAll(ctx, to, show, func() error {
			_, after, err := states.Progress(ctx)
			if err == nil && after != before {
				err = fmt.Errorf("the log has grown by %s meanwhile: stop all services, and copy to another prefix", count(after-before, "record"))
			}
			return err
		})
		return err
	})
	return done, err
}

// copyAll copies all records, and begins the reactions behind, if the copy is right.
func (m *movedReactions) copyAll(ctx context.Context, to *kafka.Kafka, show func(copied, all int64), isRight func() error) (kafka.CopiedLog, error) {
	done, err := m.kafka.CopyLog(ctx, to, m.see, show)
	if err != nil {
		return done, err
	}
	if err = isRight(); err == nil {
		err = m.begin(ctx, to)
	}
	if err != nil {
		return done, fmt.Errorf("the copy is not complete, don't use it: %w", err)
	}
	return done, nil
}

// see notes the heads of the reactions' own streams.
func (m *movedReactions) see(r *eventlog.Record) {
	if _, _, own := checkpoint.Parse(r.Stream); !own {
		return
	}
	if head, counts := m.heads[r.Stream].Accept(r); counts {
		m.heads[r.Stream] = head
	}
}

// begin begins all reactions that have a place in the log, in all partitions of the
// copy, at its end.
func (m *movedReactions) begin(ctx context.Context, to *kafka.Kafka) error {
	if len(m.heads) == 0 {
		return nil
	}
	topics, err := to.EnsureTopics(ctx)
	if err != nil {
		return err
	}
	log, err := to.LogReader()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	var records []*eventlog.Record
	for partition := range to.Partitions {
		end, err := log.End(ctx, partition)
		if err != nil {
			return err
		}
		for _, name := range m.names() {
			records = append(records, m.started(checkpoint.ReactionStarted{ID: checkpoint.ID(name, partition), TopicID: topics.EventsID, Next: end}, to.Partitions))
		}
	}
	// Streams with a place are last: as long as one has its old place, the reaction
	// begins nowhere in the copy.
	slices.SortStableFunc(records, func(a, b *eventlog.Record) int { return cmp.Compare(min(a.Seq, 2), min(b.Seq, 2)) })
	bus, err := to.EventBus()
	if err != nil {
		return err
	}
	defer func() { _ = bus.Close() }()
	for _, r := range records {
		appended := make(chan error, 1)
		bus.Append(r, func(err error) { appended <- err })
		if err := <-appended; err != nil {
			return err
		}
	}
	return nil
}

// names are the reactions that have a place in the log.
func (m *movedReactions) names() (names []string) {
	for stream := range m.heads {
		name, _, _ := checkpoint.Parse(stream)
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// started is the record with which a reaction begins in a partition. Of no command
// in a topic, the record has the place before all commands of the old topic.
func (m *movedReactions) started(e checkpoint.ReactionStarted, partitions int32) *eventlog.Record {
	stream, id := checkpoint.Name+"/"+e.ID, uuid.Must(uuid.NewV7()).String()
	head := m.heads[stream]
	r := &eventlog.Record{
		Type: e.Type(), Stream: stream, Seq: head.Seq + 1, Prev: head.Digest, Version: head.Version + 1,
		Time: time.Now().UTC().Truncate(time.Millisecond), CommandID: id, CommandHash: id,
		CommandPosition: eventlog.CommandPosition{TopicID: m.topics.CommandsID},
		Partition:       eventlog.PartitionOf(stream, partitions), Body: decider.EncodeBody(e),
	}
	r.Seal()
	return r
}
