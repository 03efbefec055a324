// Command bench measures Millrace beside its limits, side by side in one run, on any
// machine: read the ratios, not the rates.
//
// Each contender is a process of its own, and the load comes from this process, so
// the processor time of a contender has no load in it. With $KAFKA_BROKERS set, the
// contenders use this cluster instead of embedded brokers. With $POSTGRES_URL set,
// some measures run on PostgreSQL too.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// bench is the options of a run.
type bench struct {
	commands, clients, runs, users, events int
	length, quiet                          time.Duration
	against                                string // another build of Millrace, "" for none
}

// measure is a part of the table. run measures, and returns rows.
type measure struct {
	name string
	runs int // of each contender, without -runs; the median counts
	run  func(ctx context.Context, b *bench) ([]row, error)
}

// measures are all measures, in the order of the table.
var measures = []measure{
	{"latency", 5, latency},
	{"one-connection", 3, oneConnection},
	{"throughput", 3, throughput},
	{"throughput-256", 3, throughput256},
	{"catch-up", 3, catchUp},
	{"memory", 3, memory},
	{"far", 3, far},
	{"against", 5, against},
	{"one-partition", 3, onePartition},
	{"growth", 3, growth},
	{"parked", 5, parked},
	{"reads", 3, reads},
	{"restart", 1, restart},
	{"rebuild", 3, rebuild},
	{"state", 3, state},
	{"reactions", 3, reactions},
	{"state-against", 3, stateAgainst},
	{"claims", 3, claims},
	{"timers", 1, timers},
}

func main() {
	var b bench
	flag.IntVar(&b.commands, "commands", 60_000, "commands in a run; some measures take a part")
	flag.IntVar(&b.clients, "clients", 64, "keep-alive clients")
	flag.IntVar(&b.runs, "runs", 0, "runs of each contender, of which the median counts; 0 is 5 for latencies and 3 for rates")
	flag.IntVar(&b.users, "users", usersAsked(), "the most users in a log; $BENCH_USERS sets it too")
	flag.IntVar(&b.events, "events", 1_000_000, "events in the log that read models are made from")
	flag.DurationVar(&b.length, "length", 4*time.Second, "how long a run at a fixed rate takes")
	flag.DurationVar(&b.quiet, "quiet", time.Minute, "how long a process idles before its memory counts")
	flag.StringVar(&b.against, "against", "", "another build of Millrace, a `file`: measure \"against\" runs both in turn")
	only := flag.String("only", "", "the `measures` to run, by comma: "+strings.Join(names(), ", ")+"; all without")
	markdown := flag.Bool("markdown", false, "print the table in Markdown")
	serve := flag.String("serve", "", "be the contender of this `name`, for a bench that runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *serve != "" {
		err = serveContender(ctx, *serve)
	} else {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) // the pacer sleeps in a system call
		err = b.run(ctx, *only, *markdown)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// usersAsked is $BENCH_USERS, or the number of users that the goals are for.
func usersAsked() int {
	if n, err := strconv.Atoi(os.Getenv("BENCH_USERS")); err == nil {
		return n
	}
	return goalUsers
}

func names() (names []string) {
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}

// run runs measures and prints the table. If a measure fails, run prints the rows of
// the measures before.
func (b *bench) run(ctx context.Context, only string, markdown bool) (err error) {
	var chosen []string
	if only != "" {
		chosen = strings.Split(only, ",")
	}
	for _, name := range chosen {
		if !slices.Contains(names(), name) {
			return fmt.Errorf("no measure %q: there are %s", name, strings.Join(names(), ", "))
		}
	}
	fmt.Printf("On %s.\n\n", where())
	var all []row
	for _, m := range measures {
		if chosen != nil && !slices.Contains(chosen, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", m.name)
		of := *b
		if of.runs == 0 {
			of.runs = m.runs
		}
		var rows []row
		rows, err = m.run(ctx, &of)
		all = append(all, rows...)
		if err != nil {
			err = fmt.Errorf("%s: %w", m.name, err)
			break
		}
	}
	return errors.Join(err, printTable(os.Stdout, all, markdown))
}

// part is the options with a part of the commands.
func (b *bench) part(of int) *bench {
	small := *b
	small.commands = max(b.commands/of, 1)
	return &small
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

func quantile(of []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[int(q*float64(len(sorted)-1))]
}
