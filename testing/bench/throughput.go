package main

import (
	"context"
	"fmt"
	"time"
)

// rates are the results of a contender, a number for each run.
type rates struct {
	perSecond []float64
	micros    []float64 // of processor time, for each command
}

// throughput is the number of commands that become visible in a second, from POST to
// the read model. A client sends the next command after the answer to the last
// command. The time ends when no command waits, so no backlog can grow unseen. Plain
// Watermill has a single read model; Millrace is measured with the same read model
// alone, and with all read models.
func throughput(ctx context.Context, b *bench) ([]row, error) {
	made, err := compare(ctx, b, bare, plain, floor, millrace("query_service.read_models=users"), millrace())
	if err != nil {
		return nil, err
	}
	bare, plain, floor := made[0], made[1], made[2]
	perSecond := func(r rates) string { return perSecond(median(r.perSecond)) }
	micros := func(r rates) string { return fmt.Sprintf("%.0f µs", median(r.micros)) }
	var rows []row
	for i, what := range []string{"one read model", "all read models"} {
		ours := made[3+i]
		rows = append(rows,
			row{"POST to visible, " + what, perSecond(ours), "bare HTTP " + perSecond(bare), median(ours.perSecond) / median(bare.perSecond), "≥ 0.25"},
			row{"POST to visible, " + what, perSecond(ours), "plain Watermill " + perSecond(plain), median(ours.perSecond) / median(plain.perSecond), "≥ 3"},
			row{"POST to visible, " + what, perSecond(ours), "the floor " + perSecond(floor), median(ours.perSecond) / median(floor.perSecond), ""},
			row{"processor time a command, " + what, micros(ours), "bare HTTP " + micros(bare), median(ours.micros) / median(bare.micros), ""},
			row{"processor time a command, " + what, micros(ours), "plain Watermill " + micros(plain), median(ours.micros) / median(plain.micros), ""},
			row{"processor time a command, " + what, micros(ours), "the floor " + micros(floor), median(ours.micros) / median(floor.micros), ""},
		)
	}
	rows = append(rows,
		row{"the floor itself", perSecond(floor), "plain Watermill " + perSecond(plain), median(floor.perSecond) / median(plain.perSecond), ""},
		row{"the floor itself", perSecond(floor), "bare HTTP " + perSecond(bare), median(floor.perSecond) / median(bare.perSecond), ""},
	)
	return rows, nil
}

// compare runs contenders in turn, so that all share the moods of the machine.
func compare(ctx context.Context, b *bench, contenders ...contender) ([]rates, error) {
	made := make([]rates, len(contenders))
	for range b.runs {
		for i, c := range contenders {
			if err := made[i].add(ctx, b, c); err != nil {
				return nil, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return made, nil
}

// add runs a contender once.
func (r *rates) add(ctx context.Context, b *bench, c contender) error {
	return inFolder(func(dir string) error {
		t, err := c.start(ctx, dir)
		if err != nil {
			return err
		}
		began := time.Now()
		err = closedLoop(ctx, t.url, b.clients, b.commands)
		if err == nil {
			err = t.drained(ctx, b.commands)
		}
		took := time.Since(began)
		cpu := t.stop() // start and end count too
		r.perSecond = append(r.perSecond, float64(b.commands)/took.Seconds())
		r.micros = append(r.micros, float64(cpu.Microseconds())/float64(b.commands))
		return err
	})
}
