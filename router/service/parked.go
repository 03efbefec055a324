package service

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/router/operations"
)

type parkedCmd struct {
	List    parkedListCmd    `cmd:"" help:"List the streams whose commands are parked, or wait for another binary."`
	Show    parkedShowCmd    `cmd:"" help:"Show a stream's first waiting command with the reason, and the commands behind."`
	Requeue parkedRequeueCmd `cmd:"" help:"Decide a stream's parked commands again, in order. Fix the fault first."`
	Drop    parkedDropCmd    `cmd:"" help:"Drop a stream's first waiting command, and decide the commands behind."`
}

type parkedListCmd struct{}

// Run lists the streams whose commands wait.
func (parkedListCmd) Run(in *invocation) error {
	return operate(in, "", func(_ context.Context, o *operator) error {
		parked := o.List()
		if len(parked) == 0 {
			fmt.Fprintln(o.stdout, "nothing is parked")
			return nil
		}
		table := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "STREAM\tWAITING\tCOMMAND\tTYPE\tSINCE\tREASON")
		for _, p := range parked {
			first := p.Deferred[0]
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", p.Stream, p.Waiting, first.ID, first.Type, first.Time.Format(time.RFC3339), first.Reason)
		}
		return table.Flush()
	})
}

type parkedShowCmd struct {
	Stream string `arg:"" help:"The stream, such as ${stream}."`
}

// Run shows a parked stream.
func (c parkedShowCmd) Run(in *invocation) error {
	return operate(in, c.Stream, func(_ context.Context, o *operator) error {
		p, err := o.Stream(c.Stream)
		if err != nil {
			return err
		}
		for i, d := range p.Deferred {
			fmt.Fprintf(o.stdout, "%d. %s %s of %s\n   %s\n   %s\n", i+1, d.Type, d.ID, d.Time.Format(time.RFC3339), d.Body, d.Reason)
			if d.Stack != "" {
				fmt.Fprintf(o.stdout, "%s\n", d.Stack)
			}
		}
		return nil
	})
}

type parkedRequeueCmd struct {
	Stream string `arg:"" help:"The stream, such as ${stream}."`
}

// Run requeues a stream, and prints the outcome of the parked command.
func (c parkedRequeueCmd) Run(in *invocation) error {
	return operate(in, c.Stream, func(ctx context.Context, o *operator) error {
		return o.released(o.Requeue(ctx, c.Stream))
	})
}

type parkedDropCmd struct {
	Stream  string `arg:"" help:"The stream, such as ${stream}."`
	Command string `arg:"" help:"The command's id, as list shows it."`
}

// Run drops a parked command.
func (c parkedDropCmd) Run(in *invocation) error {
	return operate(in, c.Stream, func(ctx context.Context, o *operator) error {
		return o.released(o.Drop(ctx, c.Stream, c.Command))
	})
}

// released prints the outcome of a stream's parked command.
func (o *operator) released(r operations.Released, err error) error {
	if err != nil {
		return err
	}
	first := r.First
	switch {
	case r.Again():
		return fmt.Errorf("%s %s is parked again; see %s parked show %s", first.Type, first.ID, program, first.Stream)
	case r.Outcome.Refusal != nil:
		fmt.Fprintf(o.stdout, "%s %s is refused: %s\n", first.Type, first.ID, r.Outcome.Refusal.Detail)
	default:
		fmt.Fprintf(o.stdout, "%s %s succeeded; %s is at version %d\n", first.Type, first.ID, first.Stream, r.Outcome.Version)
	}
	if r.Behind > 0 {
		fmt.Fprintf(o.stdout, "%d more go on behind it\n", r.Behind)
	}
	return nil
}
