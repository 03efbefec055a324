// Command bench measures Millrace against its limits, side by side in one run, on any
// machine: read the ratios, not the rates.
//
// Each contender is a process of its own, and the load comes from this process, so
// the processor time of a contender has no load in it. With $KAFKA_BROKERS set, the
// contenders use this cluster instead of embedded brokers.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
)

// bench is the options of a run.
type bench struct {
	commands, clients, runs, users, events int
	against                                string // another build of Millrace, "" for none
}

// measure is a part of the table. run measures, and returns rows.
type measure struct {
	name string
	run  func(ctx context.Context, b *bench) ([]row, error)
}

// measures are all measures, in the order of the table.
var measures = []measure{
	{"throughput", throughput},
	{"far", far},
	{"growth", growth},
	{"one-partition", onePartition},
	{"latency", latency},
	{"parked", parked},
	{"reads", reads},
	{"restart", restart},
	{"rebuild", rebuild},
	{"lag", lag},
	{"against", against},
}

// row is a line of the table.
type row struct {
	what  string // the measured thing
	got   string
	limit string // the limit, measured in the same run
	ratio float64
	want  string // the wanted ratio, "" for none
}

func main() {
	var b bench
	flag.IntVar(&b.commands, "commands", 60_000, "commands in a run")
	flag.IntVar(&b.clients, "clients", 64, "keep-alive clients")
	flag.IntVar(&b.runs, "runs", 3, "runs of each, of which the median counts")
	flag.IntVar(&b.users, "users", usersAsked(), "the most users in a log; $BENCH_USERS sets it too")
	flag.IntVar(&b.events, "events", 200_000, "events in the log that read models are rebuilt from")
	flag.StringVar(&b.against, "against", "", "another build of Millrace, a `file`: measure \"against\" runs both in turn")
	only := flag.String("only", "", "the `measures` to run, by comma: "+strings.Join(names(), ", ")+"; all without")
	serve := flag.String("serve", "", "be the contender of this `name`, for a bench that runs")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *serve != "" {
		err = serveContender(ctx, *serve)
	} else {
		err = b.run(ctx, *only)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// usersAsked is $BENCH_USERS, or a number of users for a short run.
func usersAsked() int {
	if n, err := strconv.Atoi(os.Getenv("BENCH_USERS")); err == nil {
		return n
	}
	return 50_000
}

func names() (names []string) {
	for _, m := range measures {
		names = append(names, m.name)
	}
	return names
}

func (b *bench) run(ctx context.Context, only string) error {
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
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "measured\tMillrace\tits limit, in the same run\tratio\twanted\n")
	for _, m := range measures {
		if chosen != nil && !slices.Contains(chosen, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", m.name)
		rows, err := m.run(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, r := range rows {
			ratio := ""
			if r.limit != "" {
				ratio = fmt.Sprintf("%.2f", r.ratio)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.what, r.got, r.limit, ratio, r.want)
		}
	}
	return table.Flush()
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
