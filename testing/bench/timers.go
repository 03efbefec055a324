package main

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

const (
	// waitingTimers is the number of commands that wait for a time next year.
	waitingTimers = 1_000_000
	// dueTimers is the number of commands that are due in the same second.
	dueTimers = 10_000
	// untilDue is the time until these commands are due: they are in the state store
	// by then.
	untilDue = 15 * time.Second
)

// timers measures commands that wait for their time, each of a stream of its own:
// the memory of a command service with a million, and how long after their second
// ten thousand are decided. With fewer -users, so many wait.
func timers(ctx context.Context, b *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		s, err := newStateBench(ctx, dir, min(b.users, waitingTimers))
		if err != nil {
			return err
		}
		defer s.close()
		s.log.notBefore = time.Now().AddDate(1, 0, 0)
		if err := s.fill(ctx, 1); err != nil {
			return err
		}
		binary, err := shippedBinary()
		if err != nil {
			return err
		}
		if _, _, err := s.start(ctx, binary); err != nil {
			return err
		}
		memory, err := s.target.idleMemory(ctx, idleFor)
		if err != nil {
			return err
		}
		rows = append(rows, row{fmt.Sprintf("timers: memory with %d that wait", s.users), megabytes(memory), "", memory / 1e6, atMost(300, 400)})
		late, used, err := s.due(ctx)
		if err != nil {
			return err
		}
		rows = append(rows,
			row{fmt.Sprintf("timers: %d due in the same second, all decided", dueTimers), fmt.Sprintf("%.2f s", late.Seconds()), "", late.Seconds(), atMost(10, 10)},
			row{"timers: processor time a due command", fmt.Sprintf("%.0f µs", float64(used.Microseconds())/dueTimers), "", 0, goal{}})
		return nil
	})
	return rows, err
}

// due schedules commands for the same time, and returns how long after that time
// all are decided, and the processor time until then.
func (s *stateBench) due(ctx context.Context) (late, used time.Duration, err error) {
	s.log.notBefore, s.log.first, s.log.n = time.Now().Add(untilDue), s.users, 0
	if err := s.log.fill(dueTimers, dueTimers); err != nil {
		return 0, 0, err
	}
	if err := s.scheduled(ctx, s.users+dueTimers); err != nil {
		return 0, 0, err
	}
	if time.Until(s.log.notBefore) <= 0 {
		return 0, 0, fmt.Errorf("%d commands are not in the state store within %v", dueTimers, untilDue)
	}
	time.Sleep(time.Until(s.log.notBefore))
	before, err := s.target.processorTime()
	if err != nil {
		return 0, 0, err
	}
	if err := s.scheduled(ctx, s.users); err != nil {
		return 0, 0, err
	}
	late = time.Since(s.log.notBefore)
	after, err := s.target.processorTime()
	return late, after - before, err
}

// scheduled waits until so many commands wait for their time.
func (s *stateBench) scheduled(ctx context.Context, n int) error {
	for {
		metrics, err := s.target.metricValues(ctx)
		if err != nil || metrics["millrace_state_scheduled_commands"] == float64(n) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// schedule makes a record of a user's first command wait for a time.
func (l *foldLog) schedule(r *eventlog.Record, id string) {
	r.Type, r.Version = eventlog.TypeCommandScheduled, r.Version-1
	r.Body = fmt.Appendf(nil, `{"commandType":"createUser","payload":{"id":%s,"name":"Name %d"},"notBefore":%q}`, id, l.n, eventlog.FormatTime(l.notBefore))
}
