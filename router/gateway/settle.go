package gateway

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/decider"
)

const (
	// settleTime bounds the wait of a 202 for the read models.
	settleTime = 500 * time.Millisecond
	// quietTime is the time without commands before a 202 may wait.
	quietTime = 250 * time.Millisecond
)

// settles reports whether the 202 of a command may wait a moment for the read
// models: only if this process updates the read models, and after a quiet time.
// So somebody at a prompt reads the change at once; programs get their 202 at
// once, and have Prefer: wait.
func (g *Gateway) settles(p *pendingRequest) bool {
	now := time.Now().UnixNano()
	quiet := now-g.lastCommand.Swap(now) > int64(quietTime)
	return quiet && g.Visible != nil && p.wait == 0 && p.states != nil && g.inFlight.taken.Load() == 0
}

// settle waits a moment until the read models have a command's outcome.
func (g *Gateway) settle(ctx context.Context, outcomes *decider.Watch) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		select {
		case o := <-outcomes.C:
			if o.Kind == decider.Queued {
				continue // for a claim: the end comes at once
			}
			g.Visible(ctx, o.Partition, o.Offset)
		case <-g.Stopping:
		case <-ctx.Done():
		}
		return
	}
}
