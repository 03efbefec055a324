package main

import (
	"context"
	"fmt"
	"time"
)

// rates are the results of a contender, a number for each run.
type rates struct {
	perSecond      []float64
	micros         []float64 // of processor time, for each command
	mallocs, bytes []float64 // for each command
}

func (r *rates) rate() float64      { return median(r.perSecond) }
func (r *rates) processor() float64 { return median(r.micros) }

// goalClients is the number of connections of the goals.
const goalClients = 64

// one is the setting of a Millrace with a single read model.
const one = "query_service.read_models=users"

// throughput is the number of commands that become visible in a second, from POST to
// the read model. A client sends the next command after the answer to the last
// command. The time ends when no command waits, so no backlog can grow unseen. Plain
// Watermill and the floor have a single read model; Millrace is measured with the
// same read model alone, and with all read models.
func throughput(ctx context.Context, b *bench) ([]row, error) {
	made, err := compare(ctx, b, plain, plainSQLite, floorSarama, floorLinger, floorFranz, millrace(one), millrace())
	if err != nil {
		return nil, err
	}
	return throughputRows(b.clients, made), nil
}

// throughput256 is throughput with more connections.
func throughput256(ctx context.Context, b *bench) ([]row, error) {
	more := *b
	more.clients = 256
	return throughput(ctx, &more)
}

func throughputRows(clients int, made []rates) (rows []row) {
	plain, plainSQLite, floors := &made[0], &made[1], made[2:5]
	names := []string{"the floor (sarama)", "the floor (sarama, linger)", "the floor (franz-go)"}
	best := 0
	for i := range floors {
		if floors[i].rate() > floors[best].rate() {
			best = i
		}
	}
	floor, floorName := &floors[best], names[best]
	goals := []struct {
		of                                      string
		floor, plain, processor, mallocs, bytes goal
	}{
		{of: "one read model", floor: atLeast(0.80, 0.70), plain: atLeast(1.25, 1.1), processor: atMost(0.80, 0.88)},
		{of: "all read models", floor: atLeast(0.65, 0.58), plain: atLeast(1.0, 0.9), processor: atMost(0.95, 1.05), mallocs: atMost(250, 400), bytes: atMost(20, 35)},
	}
	rate := func(what string, ours *rates, name string, limit *rates, g goal) row {
		return row{what, perSecond(ours.rate()), named(name, perSecond(limit.rate())), ours.rate() / limit.rate(), g}
	}
	for i, g := range goals {
		ours := &made[5+i]
		if clients != goalClients {
			g.floor, g.plain, g.processor, g.mallocs, g.bytes = goal{}, goal{}, goal{}, goal{}, goal{}
		}
		what := fmt.Sprintf("POST to visible, %s, %d connections", g.of, clients)
		processor := fmt.Sprintf("processor time a command, %s, %d connections", g.of, clients)
		mallocs, bytes := median(ours.mallocs), median(ours.bytes)/1000
		rows = append(rows,
			rate(what, ours, floorName, floor, g.floor),
			rate(what, ours, "plain Watermill", plain, g.plain),
			rate(what, ours, "plain Watermill, SQLite", plainSQLite, goal{}),
			micros(processor, ours, "plain Watermill", plain, g.processor),
			micros(processor, ours, "plain Watermill, SQLite", plainSQLite, goal{}),
			micros(processor, ours, floorName, floor, goal{}),
			row{"allocations a command, " + g.of, fmt.Sprintf("%.0f", mallocs), "", mallocs, g.mallocs},
			row{"allocated a command, " + g.of, fmt.Sprintf("%.1f KB", bytes), "", bytes, g.bytes},
		)
	}
	for i := range floors {
		rows = append(rows, rate(names[i]+" itself", &floors[i], "plain Watermill", plain, goal{}),
			micros(names[i]+" itself, a command", &floors[i], "plain Watermill", plain, goal{}))
	}
	for _, other := range []struct {
		name string
		*rates
	}{{floorName, floor}, {"plain Watermill", plain}} {
		rows = append(rows, row{
			"allocations a command, " + other.name, fmt.Sprintf("%.0f, %.1f KB", median(other.mallocs), median(other.bytes)/1000), "", 0, goal{},
		})
	}
	return rows
}

// oneConnection is the rate of commands over a single connection, back to back.
func oneConnection(ctx context.Context, b *bench) ([]row, error) {
	small := b.part(20)
	small.clients = 1
	made, err := compare(ctx, small, plain, plainSQLite, millrace())
	if err != nil {
		return nil, err
	}
	ours := made[2].rate()
	return []row{
		{"POST, one connection, back to back", perSecond(ours), named("plain Watermill", perSecond(made[0].rate())), ours / made[0].rate(), atLeast(0.6, 0.45)},
		{"POST, one connection, back to back", perSecond(ours), named("plain Watermill, SQLite", perSecond(made[1].rate())), ours / made[1].rate(), goal{}},
	}, nil
}

// onePartition compares the rates with a single partition and with twelve. A
// partition processor decides many commands at a time.
func onePartition(ctx context.Context, b *bench) ([]row, error) {
	made, err := compare(ctx, b, millrace("kafka.partitions=1"), millrace("kafka.partitions=12"))
	if err != nil {
		return nil, err
	}
	one, twelve := made[0].rate(), made[1].rate()
	return []row{{"POST to visible, one partition", perSecond(one), named("12 partitions", perSecond(twelve)), one / twelve, atLeast(0.8, 0.8)}}, nil
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
		defer t.stop()
		before, err := t.usage(ctx)
		if err != nil {
			return err
		}
		began := time.Now()
		if err := closedLoop(ctx, t.commands, b.clients, b.commands); err != nil {
			return err
		}
		if err := t.drained(ctx, b.commands); err != nil {
			return err
		}
		took := time.Since(began)
		after, err := t.usage(ctx)
		commands := float64(b.commands)
		r.perSecond = append(r.perSecond, commands/took.Seconds())
		r.micros = append(r.micros, float64((after.processor-before.processor).Microseconds())/commands)
		r.mallocs = append(r.mallocs, (after.mallocs-before.mallocs)/commands)
		r.bytes = append(r.bytes, (after.bytes-before.bytes)/commands)
		return err
	})
}

// micros compares processor times: other processes on the machine change processor
// times less than rates. The time of an embedded broker counts too.
func micros(what string, ours *rates, than string, limit *rates, g goal) row {
	a, b := ours.processor(), limit.processor()
	return row{what, microseconds(a), named(than, microseconds(b)), a / b, g}
}
