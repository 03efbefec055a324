package service

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/operations"
)

type deadLettersCmd struct {
	List deadLettersListCmd `cmd:"" help:"List the messages that can't be decoded."`
	Show deadLettersShowCmd `cmd:"" help:"Show a dead letter whole, with the reason."`
	Drop deadLettersDropCmd `cmd:"" help:"Drop a dead letter, and all earlier ones of the partition."`
}

type deadLettersListCmd struct{}

// Run lists the dead letters.
func (deadLettersListCmd) Run(in *invocation) error {
	table := tabwriter.NewWriter(in.stdout, 0, 0, 2, ' ', 0)
	n := 0
	err := onDeadLetters(in, func(ctx context.Context, letters *operations.DeadLetters) error {
		return letters.Each(ctx, func(d kafka.DeadLetter) error {
			if n++; n == 1 {
				fmt.Fprintln(table, "LETTER\tSINCE\tFROM\tKEY\tREASON")
			}
			fmt.Fprintf(table, "%d/%d\t%s\t%s\t%s\t%s\n", d.Partition, d.Offset, d.Time.UTC().Format(time.RFC3339), d.From, d.Key, d.Reason)
			return nil
		})
	})
	if err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(in.stdout, "there are no dead letters")
	}
	return table.Flush()
}

// letter is a dead letter's place on the command line: partition/offset.
type letter struct {
	Letter string `arg:"" help:"The dead letter: PARTITION/OFFSET, as list shows the letter."`
}

func (l letter) place() (at kafka.Place, err error) {
	partition, offset, ok := strings.Cut(l.Letter, "/")
	p, perr := strconv.ParseInt(partition, 10, 32)
	o, oerr := strconv.ParseInt(offset, 10, 64)
	if !ok || perr != nil || oerr != nil || p < 0 || o < 0 {
		return at, fmt.Errorf("%q is not PARTITION/OFFSET; %w", l.Letter, errUsage)
	}
	return kafka.Place{Partition: int32(p), Offset: o}, nil
}

type deadLettersShowCmd struct{ letter }

// Run shows a dead letter.
func (c deadLettersShowCmd) Run(in *invocation) error {
	at, err := c.place()
	if err != nil {
		return err
	}
	return onDeadLetters(in, func(ctx context.Context, letters *operations.DeadLetters) error {
		d, err := letters.Find(ctx, at)
		if err != nil {
			return err
		}
		fmt.Fprintf(in.stdout, "reason  %s\nfrom    %s\nkey     %q\n", d.Reason, d.From, d.Key)
		for _, name := range sortedKeys(d.Headers) {
			fmt.Fprintf(in.stdout, "header  %s: %q\n", name, d.Headers[name])
		}
		if d.Size > 0 {
			fmt.Fprintf(in.stdout, "stub    the message has %d bytes, too many for the dead letters, and its body the SHA-256 %s\n", d.Size, d.Digest)
			return nil
		}
		fmt.Fprintf(in.stdout, "body    %q\n", d.Body)
		return nil
	})
}

type deadLettersDropCmd struct{ letter }

// Run drops dead letters.
func (c deadLettersDropCmd) Run(in *invocation) error {
	at, err := c.place()
	if err != nil {
		return err
	}
	return onDeadLetters(in, func(ctx context.Context, letters *operations.DeadLetters) error {
		dropped, err := letters.Drop(ctx, at)
		if err != nil {
			return err
		}
		fmt.Fprintf(in.stdout, "%s dropped\n", count(int64(dropped), "dead letter"))
		return nil
	})
}

// onDeadLetters runs a function on the dead letters of the configured cluster.
func onDeadLetters(in *invocation, do func(context.Context, *operations.DeadLetters) error) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	sayTarget(in.stderr, cfg, false)
	k, err := newKafka(cfg, cfg.Kafka.Brokers, newLogger(cfg.Log, in.stderr))
	if err != nil {
		return err
	}
	return do(in.ctx, &operations.DeadLetters{Kafka: k})
}
