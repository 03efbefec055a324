package service

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// modelName is the name of a read model on the command line.
type modelName struct {
	Name string `arg:"" name:"read-model" help:"The read model." completion-predictor:"read-model"`
}

type projectionsRebuildCmd struct {
	modelName
	NoSwap bool `help:"Don't swap: leave the new generation ready, for ${program} projections swap."`
}

// Help explains a rebuild.
func (projectionsRebuildCmd) Help() string {
	return `The whole log is folded into a new generation of the read model: tables of its own, while the live generation goes on
answering queries. Then one transaction swaps the two. All services keep running. The old generation stays, for
` + program + ` projections rollback, until somebody drops the generation.

Run the rebuild with the binary that will keep the read model up.`
}

// Run rebuilds a read model.
func (c projectionsRebuildCmd) Run(in *invocation) error {
	return c.changing(in, func(ctx context.Context, session *adminSession, p *projection.Projection) error {
		r, err := session.Rebuild(ctx, p, !c.NoSwap)
		for _, n := range r.Dropped {
			fmt.Fprintf(session.stdout, "generation %d, which an interrupted rebuild has left, is dropped\n", n)
		}
		if r.Filled {
			fmt.Fprintf(session.stdout, "generation %d of %s is filled: %s\n", r.Generation, c.Name, count(r.Rows, "row"))
		}
		swap := fmt.Sprintf("%s projections swap %s %d", program, c.Name, r.Generation)
		switch {
		case errors.Is(err, operations.ErrMoreParked):
			return fmt.Errorf("%s parked in it, and %d in the live one: it is not swapped; %s does it all the same", count(r.Parked, "stream"), r.LiveParked, swap)
		case err != nil:
			return err
		case c.NoSwap:
			fmt.Fprintf(session.stdout, "it is ready: %s\n", swap)
			return nil
		}
		return c.swapped(session, r.Swapped, nil)
	})
}

type projectionsSwapCmd struct {
	modelName
	Generation int `arg:"" optional:"" help:"The generation; without a number, the newest ready generation."`
}

// Run makes a ready generation the live generation.
func (c projectionsSwapCmd) Run(in *invocation) error {
	return c.changing(in, func(ctx context.Context, session *adminSession, p *projection.Projection) error {
		s, err := session.Swap(ctx, p, c.Generation)
		return c.swapped(session, s, err)
	})
}

type projectionsRollbackCmd struct{ modelName }

// Run makes the previous generation live again.
func (c projectionsRollbackCmd) Run(in *invocation) error {
	return c.changing(in, func(ctx context.Context, session *adminSession, p *projection.Projection) error {
		s, err := session.Rollback(ctx, p)
		return c.swapped(session, s, err)
	})
}

type projectionsDropCmd struct {
	modelName
	Generation int `arg:"" help:"The generation, as list shows it."`
}

// Run drops a generation.
func (c projectionsDropCmd) Run(in *invocation) error {
	return c.changing(in, func(ctx context.Context, session *adminSession, p *projection.Projection) error {
		if err := session.Drop(ctx, p, c.Generation); err != nil {
			return err
		}
		fmt.Fprintf(session.stdout, "generation %d of %s is dropped\n", c.Generation, c.Name)
		return nil
	})
}

// changing runs a function that changes generations of the read model.
func (m modelName) changing(in *invocation, do func(context.Context, *adminSession, *projection.Projection) error) error {
	models, err := in.service.named(m.Name)
	if err != nil {
		return err
	}
	return withProgress(in, func(ctx context.Context, session *adminSession) error { return do(ctx, session, models[0]) })
}

// swapped prints the result of a swap.
func (m modelName) swapped(session *adminSession, s operations.Swapped, err error) error {
	var none *operations.NoGenerationError
	switch {
	case errors.As(err, &none) && none.State == readmodel.Ready:
		return fmt.Errorf("%w: %s projections rebuild makes one", err, program)
	case err != nil:
		return err
	}
	fmt.Fprintf(session.stdout, "generation %d of %s is live; generation %d is kept for %s projections rollback %s\n",
		s.Live, m.Name, s.Kept, program, m.Name)
	return nil
}
