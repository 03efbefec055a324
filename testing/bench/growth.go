package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// growth is the cost of a command by the number of users: 10,000, ten times as many,
// and so on up to the wanted number. A Millrace of each size runs, and the same load
// of renames of random users goes to each in turn. The limit is the smallest size.
func growth(ctx context.Context, b *bench) (rows []row, err error) {
	systems, err := grow(ctx, b, growthSizes(b.users), nil)
	if err != nil {
		return nil, err
	}
	users := func(s *system) string { return fmt.Sprintf("%d users", s.users) }
	least := systems[0]
	for _, s := range systems[min(1, len(systems)-1):] { // a lone system is compared with itself
		ours, limit := median(s.perSecond), median(least.perSecond)
		cpu := micros("processor time a command, "+users(s), &s.rates, users(least), &least.rates, goal{})
		rows = append(rows,
			row{"POST to visible, " + users(s), perSecond(ours), named(users(least), perSecond(limit)), ours / limit, goal{}},
			cpu,
			row{"memory of the process, " + users(s), megabytes(s.memory), named(users(least), megabytes(least.memory)), s.memory / least.memory, goal{}})
	}
	return rows, nil
}

func growthSizes(most int) (sizes []int) {
	for size := 10_000; size < most; size *= 10 {
		sizes = append(sizes, size)
	}
	return append(sizes, most)
}

// system is a running Millrace with a number of users.
type system struct {
	users int
	rates
	memory float64 // of the idle process, in bytes

	*target
	created int64 // users made by runs: the last command of a run creates a user
}

// grow starts a system of each size beside the others, and measures all.
func grow(ctx context.Context, b *bench, sizes []int, others []*system) (all []*system, err error) {
	if len(sizes) == 0 {
		return others, inTurn(ctx, b, others)
	}
	err = inFolder(func(dir string) error {
		if err := importUsers(ctx, dir, sizes[0]); err != nil {
			return err
		}
		t, err := startMillrace(ctx, dir)
		if err != nil {
			return err
		}
		defer t.stop()
		all, err = grow(ctx, b, sizes[1:], append(others, &system{users: sizes[0], target: t}))
		return err
	})
	return all, err
}

// importUsers writes users to an empty log.
func importUsers(ctx context.Context, dir string, users int) error {
	log, err := newFoldLog(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(log.fill(users, users), log.done())
}

func inTurn(ctx context.Context, b *bench, systems []*system) error {
	for range b.runs {
		for _, s := range systems {
			if err := s.run(ctx, b.clients, b.commands/3); err != nil {
				return fmt.Errorf("%d users: %w", s.users, err)
			}
		}
	}
	for _, s := range systems {
		var err error
		if s.memory, err = s.idleMemory(ctx, idleFor); err != nil {
			return err
		}
	}
	return nil
}

// run renames random users. A client sends the next command after the answer to
// the last command.
func (s *system) run(ctx context.Context, clients, commands int) error {
	client := newClient(clients)
	defer client.CloseIdleConnections()
	before, err := s.processorTime()
	if err != nil {
		return err
	}
	began := time.Now()
	var sent atomic.Int64
	loops, looping := errgroup.WithContext(ctx)
	for range clients {
		loops.Go(func() error {
			for n := sent.Add(1); n <= int64(commands); n = sent.Add(1) {
				status, err := rename(looping, client, s.commands, strconv.Itoa(rand.IntN(s.users)), fmt.Sprintf("Run %d %d", s.created, n), false)
				if err != nil {
					return err
				}
				if status != http.StatusAccepted {
					return fmt.Errorf("a rename: status %d", status)
				}
			}
			return nil
		})
	}
	if err := loops.Wait(); err != nil {
		return err
	}
	last := int64(s.users) + s.created // 0 is a user too
	s.created++
	if _, err := post(ctx, client, s.commands, last); err != nil {
		return err
	}
	if err := s.drained(ctx, int(last)); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := s.processorTime()
	s.perSecond = append(s.perSecond, float64(commands)/took.Seconds())
	s.micros = append(s.micros, float64((after-before).Microseconds())/float64(commands))
	return err
}
