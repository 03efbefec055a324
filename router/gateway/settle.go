package gateway

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/decider"
)

const (
	// settleTime is the longest that a 202 waits to be readable.
	settleTime = 500 * time.Millisecond
	// quietTime is how long no command must have come before one waits.
	quietTime = 250 * time.Millisecond
)

// settles says whether a command, about to be sent, may wait a moment before
// its 202: only where the read models are kept by this very process, and when
// it comes alone. So somebody who tries things by hand reads what they wrote;
// programs get their 202 at once, and have Prefer: wait.
func (g *Gateway) settles(p *pendingRequest) bool {
	now := time.Now().UnixNano()
	quiet := now-g.lastCommand.Swap(now) > int64(quietTime)
	return quiet && g.Visible != nil && p.wait == 0 && p.states != nil && len(g.inFlight) == 0
}

// settle waits a moment until a command's outcome shows in the read models.
func (g *Gateway) settle(ctx context.Context, outcomes *decider.Watch) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	select {
	case o := <-outcomes.C:
		g.Visible(ctx, o.Partition, o.Offset)
	case <-g.Stopping:
	case <-ctx.Done():
	}
}
