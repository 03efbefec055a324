package service

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// readerTimeout bounds the wait of the console for a client of Kafka.
const readerTimeout = 5 * time.Second

var errKafkaSilent = web.Unavailable("Kafka does not answer")

// streamsView is the console's view of one stream.
func (m *Process) streamsView() console.View {
	return console.View{Name: "streams", Needs: "Kafka", Part: &console.Streams{
		Registry: m.Service.registry,
		Scan: func(ctx context.Context, stream string, page operations.Page, each func(*operations.Record) error, progress func(read, all int64) error) (*operations.Stream, error) {
			log, closeIt, err := m.openLog(ctx)
			if err != nil {
				return nil, err
			}
			defer closeIt()
			return operations.Scan(ctx, log, m.Service.folded, stream, m.kafka.Partitions, page, each, progress)
		},
	}}
}

// openLog opens a reader of the log of its own: a reader reads a partition for
// one caller at a time.
func (m *Process) openLog(ctx context.Context) (*kafka.LogReader, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, readerTimeout)
	defer cancel()
	own := &lazyClient[*kafka.LogReader]{open: m.kafka.LogReader}
	closeIt := func() { _ = own.close(context.Background()) }
	log, ok := own.get(ctx)
	if !ok {
		closeIt()
		return nil, nil, errKafkaSilent
	}
	return log, closeIt, nil
}

// troubleView is the console's view of what waits for an operator.
func (m *Process) troubleView() console.View {
	return console.View{Name: "trouble", Needs: "Kafka", Part: &console.Trouble{
		Registry: m.Service.registry,
		Parked: func(ctx context.Context) (*operations.Parked, error) {
			states := m.stats.states.Load()
			if states == nil {
				return nil, web.Unavailable("this process decides no commands, or has not begun: ask the admin address of a command service")
			}
			ctx, cancel := context.WithTimeout(ctx, readerTimeout)
			defer cancel()
			topics, err := m.connect(ctx)
			if err != nil {
				return nil, errKafkaSilent
			}
			return &operations.Parked{States: states, Kafka: m.kafka, CommandsID: topics.CommandsID}, nil
		},
		Reactions: m.Service.reactionNames(), Partitions: m.kafka.Partitions,
		DeadLetters: &operations.DeadLetters{Kafka: m.kafka},
	}}
}

// modelsView is the console's view of the read models, of processes with a store.
func (m *Process) modelsView(status *modelStatus) console.View {
	view := console.View{Name: "models", Needs: "the store"}
	if status.store == nil {
		return view
	}
	view.Part = &console.Models{
		Projections: m.Service.projections(), Jobs: m.jobs,
		With: func(ctx context.Context, progress func(done, all int64), do func(*operations.Models) error) error {
			log, closeIt, err := m.logFor(ctx, status, progress != nil)
			if err != nil {
				return err
			}
			defer closeIt()
			err = do(&operations.Models{
				Store: status.store, Log: log, Events: m.Service.folded, Partitions: m.kafka.Partitions, Logger: m.Log, Progress: progress,
			})
			if errors.Is(err, readmodel.ErrNotPrepared) {
				return web.Unavailable("the read models aren't there yet")
			}
			return err
		},
		Status: func(ctx context.Context) []readmodel.Status {
			ends := status.ends(ctx)
			all := []readmodel.Status{}
			for _, p := range m.Service.projections() {
				if of, err := readmodel.StatusOf(ctx, status.store, p, ends); err == nil { // /readyz tells why
					all = append(all, of)
				}
			}
			return all
		},
	}
	return view
}

// logFor is a reader of the log: of its own, or the reader of the status, which
// answers questions about single records and ends.
func (m *Process) logFor(ctx context.Context, status *modelStatus, own bool) (*kafka.LogReader, func(), error) {
	if own {
		return m.openLog(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, readerTimeout)
	defer cancel()
	log, ok := status.log.get(ctx)
	if !ok {
		return nil, nil, errKafkaSilent
	}
	return log, func() {}, nil
}

// sendView is the console's view for sending commands.
func (m *Process) sendView(status *modelStatus) console.View {
	return console.View{Name: "send", Needs: "Kafka", Part: &console.Send{
		Registry: m.Service.registry, Commands: documents.Commands(m.Service.description()), Post: m.postCommand,
		Tracker: func(ctx context.Context) (*operations.Tracker, func(), error) {
			log, _, err := m.logFor(ctx, status, false)
			if err != nil {
				return nil, nil, err
			}
			ctx, cancel := context.WithTimeout(ctx, readerTimeout)
			defer cancel()
			reader, ok := m.commandTimes.get(ctx)
			if !ok {
				return nil, nil, errKafkaSilent
			}
			t := &operations.Tracker{Log: log, Commands: reader, States: m.stats.states.Load(), Partitions: m.kafka.Partitions}
			if status.store != nil {
				t.Store, t.Models, t.Outcome = status.store, m.Service.projections(), outcomeIn(status.store)
			}
			if t.States == nil && t.Store == nil {
				return nil, nil, web.Unavailable("this process has neither a state store nor read models, and can't see the way")
			}
			return t, func() {}, nil
		},
	}}
}
