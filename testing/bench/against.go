package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// pacedRate is the rate of commands for the processor time of two builds.
const pacedRate = 1000

// against compares this build with another build, in turn in one run: throughput
// with all read models, processor time a command at full load and at pacedRate, and
// the time from a POST until the command is visible. Without another build there are
// no rows.
func against(ctx context.Context, b *bench) (rows []row, err error) {
	if b.against == "" {
		return nil, nil
	}
	binary, err := filepath.Abs(b.against)
	if err != nil {
		return nil, err
	}
	const name = "the other build"
	other := contender{name, func(ctx context.Context, dir string) (*target, error) { return startBuild(ctx, dir, binary) }}
	made, err := compare(ctx, b, millrace(), other)
	if err != nil {
		return nil, err
	}
	ours, theirs := &made[0], &made[1]
	rows = append(rows,
		row{"POST to visible, all read models", perSecond(ours.rate()), named(name, perSecond(theirs.rate())), ours.rate() / theirs.rate(), atLeast(0.95, 0.95)},
		micros("processor time a command", ours, name, theirs, goal{}),
		row{
			"allocations a command", fmt.Sprintf("%.0f, %.1f KB", median(ours.mallocs), median(ours.bytes)/1000),
			fmt.Sprintf("%s %.0f, %.1f KB", name, median(theirs.mallocs), median(theirs.bytes)/1000), median(ours.mallocs) / median(theirs.mallocs), goal{},
		})
	var atRate [2]rates
	err = together(ctx, []contender{millrace(), other}, func(targets []*target) error {
		for range b.runs {
			for i, t := range targets {
				if err := atRate[i].addPaced(ctx, b, t); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return rows, err
	}
	rows = append(rows, micros(fmt.Sprintf("processor time a command, %d/s", pacedRate), &atRate[0], name, &atRate[1], atMost(0.5, 0.5)))
	took, err := latencyInTurn(ctx, b, latencyRates, []contender{millrace(), other}, nil)
	for i := range took {
		ours, theirs := took[i][0], took[i][1]
		rows = append(rows,
			row{fmt.Sprintf("POST to visible, %d/s, p50", latencyRates[i]), milliseconds(median(ours.p50)), named(name, milliseconds(median(theirs.p50))), median(ours.p50) / median(theirs.p50), atMost(1.1, 1.1)},
			row{fmt.Sprintf("POST to visible, %d/s, p99", latencyRates[i]), milliseconds(median(ours.p99)), named(name, milliseconds(median(theirs.p99))), median(ours.p99) / median(theirs.p99), goal{}})
	}
	return rows, err
}

// addPaced runs a contender once at pacedRate, without reads.
func (r *rates) addPaced(ctx context.Context, b *bench, t *target) error {
	before, err := t.processorTime()
	if err != nil {
		return err
	}
	began := time.Now()
	_, last, err := fixedRate(ctx, t, pacedRate, b.length, t.users, false)
	if err != nil {
		return err
	}
	if err := t.drained(ctx, int(last)); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := t.processorTime()
	commands := float64(last - t.users)
	r.perSecond = append(r.perSecond, commands/took.Seconds())
	r.micros = append(r.micros, float64((after-before).Microseconds())/commands)
	t.users = last
	return err
}

// stateAgainst compares the command service of this build with another build's, in
// turn in one run: random renames of few users, from POST to the outcome, without a
// read model. Without another build there are no rows.
func stateAgainst(ctx context.Context, b *bench) (rows []row, err error) {
	if b.against == "" {
		return nil, nil
	}
	theirs, err := filepath.Abs(b.against)
	if err != nil {
		return nil, err
	}
	ours, err := shippedBinary()
	if err != nil {
		return nil, err
	}
	for _, outcomes := range []int{1, outcomesAUser} {
		err = withFewUsers(ctx, theirs, outcomes, func(other *stateBench) error {
			return withFewUsers(ctx, ours, outcomes, func(s *stateBench) error {
				if err := inTurns(ctx, b, other, s); err != nil {
					return err
				}
				const name = "the other build"
				what := fmt.Sprintf(", random renames, %d users of %d outcomes at first, command service alone", fewUsers, outcomes)
				rows = append(rows,
					row{"POST to outcome" + what, perSecond(s.rate()), named(name, perSecond(other.rate())), s.rate() / other.rate(), atLeast(0.97, 0.92)},
					micros("processor time a rename"+what, &s.rates, name, &other.rates, atMost(1.03, 1.09)))
				return nil
			})
		})
		if err != nil {
			break
		}
	}
	return rows, err
}

// withFewUsers calls do with a command service of few users, each of so many outcomes.
func withFewUsers(ctx context.Context, binary string, outcomes int, do func(*stateBench) error) error {
	return inFolder(func(dir string) error {
		s, err := newStateBench(ctx, dir, fewUsers)
		if err != nil {
			return err
		}
		defer s.close()
		if err := s.fill(ctx, outcomes); err != nil {
			return err
		}
		if _, _, err := s.start(ctx, binary); err != nil {
			return err
		}
		return do(s)
	})
}

// inTurns measures random renames with command services in turn.
func inTurns(ctx context.Context, b *bench, all ...*stateBench) error {
	for range b.runs {
		for _, s := range all {
			if err := s.renames(ctx, b.clients, b.commands/3); err != nil {
				return err
			}
		}
	}
	return nil
}
