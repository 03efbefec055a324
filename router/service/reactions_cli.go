package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/reaction/checkpoint"
	"github.com/millrace/millrace/router/unique"
)

type reactionsCmd struct {
	List  reactionsListCmd  `cmd:"" help:"List the streams that are parked in reactions."`
	Retry reactionsRetryCmd `cmd:"" help:"Ask a reaction again about the records of a parked stream, in order. Fix the fault first."`
	Skip  reactionsSkipCmd  `cmd:"" help:"Pass over the record that has parked a stream in a reaction, and go on behind."`
}

type reactionsListCmd struct{}

// Run lists the streams that are parked in reactions.
func (reactionsListCmd) Run(in *invocation) error {
	names := in.service.reactionNames()
	if len(names) == 0 {
		fmt.Fprintln(in.stdout, "this service has no reactions")
		return nil
	}
	return operate(in, "", func(_ context.Context, o *operator) error {
		open := o.reactions().List(names)
		if len(open) == 0 {
			fmt.Fprintln(o.stdout, "nothing is parked in a reaction")
			return nil
		}
		table := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "REACTION\tSTREAM\tOFFSET\tREASON")
		for _, c := range open {
			reason := c.Reason
			if !c.Parked {
				reason = "(goes on)"
			}
			fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", c.Reaction, c.Stream, c.Offset, reason)
		}
		return table.Flush()
	})
}

// reactionNames are the names of all reactions.
func (r *registered) reactionNames() (names []string) {
	if r.claims() {
		names = append(names, unique.Name)
	}
	for _, one := range r.reactions {
		names = append(names, one.Name)
	}
	return names
}

// reactions works on the streams that are parked in reactions.
func (o *operator) reactions() *operations.Reactions {
	return &operations.Reactions{Parked: *o.Parked, Partitions: o.Kafka.Partitions}
}

type reactionsRetryCmd struct {
	Reaction string `arg:"" help:"The reaction, as list shows it."`
	Stream   string `arg:"" help:"The stream, such as ${stream}."`
}

// Run retries a parked stream.
func (c reactionsRetryCmd) Run(in *invocation) error {
	return c.goOn(in, func(ctx context.Context, r *operations.Reactions) (*operations.ParkedCause, error) {
		return r.Retry(ctx, c.Reaction, c.Stream)
	})
}

type reactionsSkipCmd struct {
	Reaction string `arg:"" help:"The reaction, as list shows it."`
	Stream   string `arg:"" help:"The stream, such as ${stream}."`
	Offset   int64  `arg:"" help:"The offset of the record, as list shows it."`
}

// Run skips a parked record.
func (c reactionsSkipCmd) Run(in *invocation) error {
	return reactionsRetryCmd{c.Reaction, c.Stream}.goOn(in, func(ctx context.Context, r *operations.Reactions) (*operations.ParkedCause, error) {
		return r.Skip(ctx, c.Reaction, c.Stream, c.Offset)
	})
}

// goOn lets a parked stream go on, and prints the result.
func (c reactionsRetryCmd) goOn(in *invocation, do func(context.Context, *operations.Reactions) (*operations.ParkedCause, error)) error {
	if names := in.service.reactionNames(); !slices.Contains(names, c.Reaction) {
		return fmt.Errorf("there is no reaction %q: they are %s; %w", c.Reaction, strings.Join(names, ", "), errUsage)
	}
	cfg, err := in.load()
	if err != nil {
		return err
	}
	own := checkpoint.Stream(c.Reaction, eventlog.PartitionOf(c.Stream, int32(cfg.Kafka.Partitions)))
	return operate(in, own, func(ctx context.Context, o *operator) error {
		switch again, err := do(ctx, o.reactions()); {
		case err != nil:
			return err
		case again != nil:
			return fmt.Errorf("%s is parked again in reaction %s, at offset %d: %s", c.Stream, c.Reaction, again.Offset, again.Reason)
		}
		fmt.Fprintf(o.stdout, "reaction %s has answered all records of %s\n", c.Reaction, c.Stream)
		return nil
	})
}
