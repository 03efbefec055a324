package service

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/router/decider"
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
	return operate(in, func(_ context.Context, o *operator) error {
		parked := o.states.Parked()
		if len(parked) == 0 {
			fmt.Fprintln(o.stdout, "nothing is parked")
			return nil
		}
		table := tabwriter.NewWriter(o.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "STREAM\tWAITING\tCOMMAND\tTYPE\tSINCE\tREASON")
		for _, p := range parked {
			first := p.Deferred[0]
			fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", p.Stream, len(p.Deferred), first.ID, first.Type, first.Time.Format(time.RFC3339), first.Reason)
		}
		return table.Flush()
	})
}

type parkedShowCmd struct {
	Stream string `arg:"" help:"The stream, such as ${stream}."`
}

// Run shows a parked stream.
func (c parkedShowCmd) Run(in *invocation) error {
	return operate(in, func(_ context.Context, o *operator) error {
		p, err := o.parked(c.Stream)
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

// parked returns a parked stream.
func (o *operator) parked(stream string) (decider.ParkedStream, error) {
	for _, p := range o.states.Parked() {
		if p.Stream == stream {
			return p, nil
		}
	}
	return decider.ParkedStream{}, fmt.Errorf("stream %s is not parked", stream)
}

type parkedRequeueCmd struct {
	Stream string `arg:"" help:"The stream, such as ${stream}."`
}

// Run requeues a stream, and prints the outcome of the parked command.
func (c parkedRequeueCmd) Run(in *invocation) error {
	return operate(in, func(ctx context.Context, o *operator) error {
		return o.release(ctx, c.Stream, func(decider.DeferredCommand) operatorCommand {
			return decider.RequeueParked{Stream: c.Stream}
		})
	})
}

type parkedDropCmd struct {
	Stream  string `arg:"" help:"The stream, such as ${stream}."`
	Command string `arg:"" help:"The command's id, as list shows it."`
}

// Run drops a parked command.
func (c parkedDropCmd) Run(in *invocation) error {
	return operate(in, func(ctx context.Context, o *operator) error {
		return o.release(ctx, c.Stream, func(decider.DeferredCommand) operatorCommand {
			return decider.DropParked{Stream: c.Stream, CommandID: c.Command}
		})
	})
}

// release sends a command of the router that lets a parked stream go on, and
// prints the outcome of the parked command.
func (o *operator) release(ctx context.Context, stream string, by func(decider.DeferredCommand) operatorCommand) error {
	p, err := o.parked(stream)
	if err != nil {
		return err
	}
	first := p.Deferred[0]
	command := by(first)
	body, err := json.Marshal(command)
	if err != nil {
		return err
	}
	watch := o.states.Watch(stream, first.ID)
	defer watch.Close()
	<-watch.C // the outcome so far: parked or queued
	outcome, err := o.send(ctx, stream, command, body)
	if err != nil {
		return err
	}
	if outcome.Refusal != nil {
		return outcome.Refusal
	}
	if outcome, err = o.await(ctx, watch); err != nil {
		return err
	}
	switch {
	case outcome.Kind == decider.Parked:
		return fmt.Errorf("%s %s is parked again; see %s parked show %s", first.Type, first.ID, program, stream)
	case outcome.Refusal != nil:
		fmt.Fprintf(o.stdout, "%s %s is refused: %s\n", first.Type, first.ID, outcome.Refusal.Detail)
	default:
		fmt.Fprintf(o.stdout, "%s %s succeeded; %s is at version %d\n", first.Type, first.ID, stream, outcome.Version)
	}
	if waiting := len(p.Deferred) - 1; waiting > 0 {
		fmt.Fprintf(o.stdout, "%d more go on behind it\n", waiting)
	}
	return nil
}
