package service

import (
	"context"
	"errors"
	"fmt"

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
	return rebuilding(in, c.Name, func(ctx context.Context, b *builder) error {
		generation, dropped, err := b.Begin(ctx)
		if err != nil {
			return err
		}
		for _, n := range dropped {
			fmt.Fprintf(b.stdout, "generation %d, which an interrupted rebuild has left, is dropped\n", n)
		}
		if err := b.Fill(ctx, generation); err != nil {
			return fmt.Errorf("generation %d of %s is not filled, and the next rebuild drops it: %w", generation, c.Name, err)
		}
		filled, live, err := b.generations(ctx, generation)
		if err != nil {
			return err
		}
		fmt.Fprintf(b.stdout, "generation %d of %s is filled: %s\n", generation, c.Name, count(filled.Rows, "row"))
		swap := fmt.Sprintf("%s projections swap %s %d", program, c.Name, generation)
		if filled.Parked > live.Parked {
			return fmt.Errorf("%s parked in it, and %d in the live one: it is not swapped; %s does it all the same", count(filled.Parked, "stream"), live.Parked, swap)
		}
		if c.NoSwap {
			fmt.Fprintf(b.stdout, "it is ready: %s\n", swap)
			return nil
		}
		return b.swap(ctx, generation)
	})
}

type projectionsSwapCmd struct {
	modelName
	Generation int `arg:"" optional:"" help:"The generation; without a number, the newest ready generation."`
}

// Run makes a ready generation the live generation.
func (c projectionsSwapCmd) Run(in *invocation) error {
	return rebuilding(in, c.Name, func(ctx context.Context, b *builder) error {
		if c.Generation != 0 {
			return b.swap(ctx, c.Generation)
		}
		return b.swapNewest(ctx, readmodel.Ready, "is ready: "+program+" projections rebuild makes one")
	})
}

type projectionsRollbackCmd struct{ modelName }

// Run makes the previous generation live again.
func (c projectionsRollbackCmd) Run(in *invocation) error {
	return rebuilding(in, c.Name, func(ctx context.Context, b *builder) error {
		return b.swapNewest(ctx, readmodel.Old, "is there to go back to")
	})
}

type projectionsDropCmd struct {
	modelName
	Generation int `arg:"" help:"The generation, as list shows it."`
}

// Run drops a generation.
func (c projectionsDropCmd) Run(in *invocation) error {
	return rebuilding(in, c.Name, func(ctx context.Context, b *builder) error {
		if err := b.store.Drop(ctx, b.Projection, c.Generation); err != nil {
			return err
		}
		fmt.Fprintf(b.stdout, "generation %d of %s is dropped\n", c.Generation, c.Name)
		return nil
	})
}

// builder is an admin session that changes the generations of one read model.
type builder struct {
	*adminSession
	*readmodel.Rebuild
}

// rebuilding runs a function that changes generations of a read model. At most
// one process does so at a time.
func rebuilding(in *invocation, name string, do func(context.Context, *builder) error) error {
	models, err := in.service.named(name)
	if err != nil {
		return err
	}
	return withAdminSession(in, func(ctx context.Context, session *adminSession) error {
		p := models[0]
		done, err := session.store.Rebuilding(ctx, p)
		if err != nil {
			return err
		}
		defer done()
		ctx, giveUp := context.WithCancelCause(ctx)
		defer giveUp(nil)
		err = do(ctx, &builder{session, &readmodel.Rebuild{
			Projection: p, Store: session.store, Log: session.log, Events: in.service.registry, Partitions: session.partitions,
			Logger: session.logger, Progress: progress(ctx, in.stderr, giveUp),
		}})
		err = why(ctx, err)
		if errors.Is(err, readmodel.ErrOtherDefinition) {
			err = fmt.Errorf("%w; run this with the binary that made it", err)
		}
		return err
	})
}

// generations returns the generation with this number, and the live generation.
// Zero values are generations that are not there.
func (b *builder) generations(ctx context.Context, number int) (one, live readmodel.Generation, err error) {
	all, err := b.store.Generations(ctx, b.Projection)
	for _, g := range all {
		if g.Number == number {
			one = g
		}
		if g.State == readmodel.Live {
			live = g
		}
	}
	return one, live, err
}

// swapNewest swaps to the newest generation in a state.
func (b *builder) swapNewest(ctx context.Context, state readmodel.State, none string) error {
	all, err := b.store.Generations(ctx, b.Projection)
	if err != nil {
		return err
	}
	var newest readmodel.Generation
	for _, g := range all {
		if g.State == state && !g.Since.Before(newest.Since) {
			newest = g
		}
	}
	if newest.Number == 0 {
		return fmt.Errorf("no generation of %s %s", b.Projection.Name, none)
	}
	return b.swap(ctx, newest.Number)
}

// swap lets a generation catch up with the log, and makes the generation live.
func (b *builder) swap(ctx context.Context, generation int) error {
	one, live, err := b.generations(ctx, generation)
	switch {
	case err != nil:
		return err
	case one.Number == 0:
		return fmt.Errorf("read model %s has no generation %d", b.Projection.Name, generation)
	case one.State == readmodel.Live:
		return fmt.Errorf("generation %d of %s is the live one already", generation, b.Projection.Name)
	case one.State == readmodel.Building:
		return fmt.Errorf("generation %d of %s is what an interrupted rebuild has left: rebuild, or drop it", generation, b.Projection.Name)
	}
	if err := b.Swap(ctx, generation); err != nil {
		return err
	}
	fmt.Fprintf(b.stdout, "generation %d of %s is live; generation %d is kept for %s projections rollback %s\n",
		generation, b.Projection.Name, live.Number, program, b.Projection.Name)
	return nil
}
