package service

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/millrace/millrace/router/operations"
)

type projectionsCmd struct {
	List     projectionsListCmd     `cmd:"" help:"List the generations of the read models."`
	Rebuild  projectionsRebuildCmd  `cmd:"" help:"Fill a new generation from the log, beside the live generation, and swap."`
	Swap     projectionsSwapCmd     `cmd:"" help:"Make a ready or old generation the live generation."`
	Rollback projectionsRollbackCmd `cmd:"" help:"Make the previous generation live again."`
	Drop     projectionsDropCmd     `cmd:"" help:"Delete a generation that is not live."`
	Parked   projectionsParkedCmd   `cmd:"" help:"List the streams whose events a read model could not apply."`
	Retry    projectionsRetryCmd    `cmd:"" help:"Apply the events of parked streams again, from the log. Fix the fault first."`
}

type projectionsListCmd struct {
	Names []string `arg:"" optional:"" name:"read-model" help:"The read models to list; all, if none is named." completion-predictor:"read-model"`
}

// Run lists the generations of read models.
func (c projectionsListCmd) Run(in *invocation) error {
	models, err := in.service.named(c.Names...)
	if err != nil {
		return err
	}
	return withAdminSession(in, func(ctx context.Context, session *adminSession) error {
		ends, err := session.Ends(ctx)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(session.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "READ MODEL\tGENERATION\tSTATE\tSINCE\tBEHIND\tPARKED\tROWS")
		for _, p := range models {
			all, err := session.Store.Generations(ctx, p)
			if err != nil {
				return err
			}
			if len(all) == 0 {
				fmt.Fprintf(table, "%s\tnone yet\n", p.Name)
			}
			for _, g := range all {
				fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%d\t%d\n",
					p.Name, g.Number, g.State, g.Since.Format(time.RFC3339), operations.Behind(g, ends), g.Parked, g.Rows)
			}
		}
		return table.Flush()
	})
}
