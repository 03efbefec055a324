package service

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/router/readmodel"
)

type projectionsParkedCmd struct {
	Names []string `arg:"" optional:"" name:"read-model" help:"The read models to look at; all, if none is named." completion-predictor:"read-model"`
}

// Run lists the parked streams of read models.
func (c projectionsParkedCmd) Run(in *invocation) error {
	models, err := in.service.named(c.Names...)
	if err != nil {
		return err
	}
	return withAdminSession(in, func(ctx context.Context, session *adminSession) error {
		none := true
		for _, p := range models {
			parked, err := session.Parked(ctx, p)
			if err != nil {
				return err
			}
			for _, s := range parked {
				none = false
				fmt.Fprintf(session.stdout, "%s: %s\n", p.Name, parkedText(s))
			}
		}
		if none {
			fmt.Fprintln(session.stdout, "nothing is parked")
		}
		return nil
	})
}

// parkedText describes a parked stream in one line.
func parkedText(s readmodel.ParkedStream) string {
	reason, _, _ := strings.Cut(s.Parked, "\n")
	return fmt.Sprintf("%s, at version %d, since offset %d of partition %d: %s", s.Stream, s.Version, s.ParkedOffset, s.Partition, reason)
}

type projectionsRetryCmd struct {
	Name   string `arg:"" name:"read-model" help:"The read model." completion-predictor:"read-model"`
	Stream string `arg:"" optional:"" help:"The stream, such as ${stream}; without a stream, all parked streams."`
}

// Run applies the events of parked streams again, and prints the version of each
// stream.
func (c projectionsRetryCmd) Run(in *invocation) error {
	models, err := in.service.named(c.Name)
	if err != nil {
		return err
	}
	return withAdminSession(in, func(ctx context.Context, session *adminSession) error {
		now, err := session.Retry(ctx, models[0], c.Stream)
		again := 0
		for _, s := range now {
			if s.Parked != "" {
				again++
				fmt.Fprintf(session.stdout, "parked again: %s\n", parkedText(s))
				continue
			}
			fmt.Fprintf(session.stdout, "%s goes on, at version %d\n", s.Stream, s.Version)
		}
		if again > 0 {
			err = errors.Join(err, fmt.Errorf("%s of %d parked again", count(int64(again), "stream"), len(now)))
		} else if err == nil && len(now) == 0 {
			fmt.Fprintln(session.stdout, "nothing is parked")
		}
		return err
	})
}
