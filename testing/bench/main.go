// Command bench measures Millrace against its limits, side by side in one
// run, on whatever machine it is started on: read its ratios, not its rates.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
	"time"
)

func main() {
	commands := flag.Int("commands", 20_000, "commands in a run")
	clients := flag.Int("clients", 64, "keep-alive clients")
	runs := flag.Int("runs", 3, "runs of each, of which the median counts")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := bench(ctx, load{*commands, *clients}, *runs)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// contender is something that takes commands.
type contender struct {
	name string
	// start starts it with nothing in it.
	start func(ctx context.Context, dir string) (target, error)
}

// target is a contender at work.
type target struct {
	url string
	// done says whether the last command shows, nil if nothing ever does.
	done func(last int) (bool, error)
	stop func()
}

func bench(ctx context.Context, l load, runs int) error {
	contenders := []contender{
		{"bare net/http and mux, JSON to a handler that does nothing", startBare},
		{"plain Watermill, a message at a time", startPlain},
		{"Millrace", startMillrace},
	}
	rates := make([][]float64, len(contenders))
	for range runs { // in turn, so that they share the machine's moods
		for i, c := range contenders {
			rate, err := measure(ctx, c, l)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			rates[i] = append(rates[i], rate)
		}
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "POST to visible, %d commands of %d clients, median of %d\tper second\tMillrace to it\n", l.commands, l.clients, runs)
	ours := median(rates[len(rates)-1])
	for i, c := range contenders {
		rate := median(rates[i])
		fmt.Fprintf(table, "%s\t%.0f\t%.2f\n", c.name, rate, ours/rate)
	}
	return table.Flush()
}

// measure is the rate at which commands become visible, counted after the
// last one is.
func measure(ctx context.Context, c contender, l load) (float64, error) {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	at, err := c.start(ctx, dir)
	if err != nil {
		return 0, err
	}
	defer at.stop()
	began := time.Now()
	if err := l.run(ctx, at.url); err != nil {
		return 0, err
	}
	for at.done != nil {
		done, err := at.done(l.commands)
		if err != nil {
			return 0, err
		}
		if done {
			break
		}
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return float64(l.commands) / time.Since(began).Seconds(), nil
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
