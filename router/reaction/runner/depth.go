package runner

import (
	"context"
	"fmt"
	"strings"

	"github.com/millrace/millrace/router/eventlog"
)

// depthOf is the depth of a record's commands: one more than the depth of the
// command that the record ended. The router's own commands end by themselves, and
// a command of the largest depth may need them.
func (r *run) depthOf(c *eventlog.Record) int {
	if c.Origin == nil || r.reaction.own {
		return 1
	}
	return c.Origin.Depth + 1
}

// shownChain bounds the records of a chain that an error names.
const shownChain = 6

// tooDeep is the error of a record whose commands would be too deep, with the
// records that caused each other: most likely some reactions cause each other for
// ever.
func (r *run) tooDeep(ctx context.Context, last *eventlog.Record) error {
	var chain strings.Builder
	at := *last
	for shown := 0; ; shown++ {
		fmt.Fprintf(&chain, "%s %s", at.Stream, at.Type)
		if at.Origin == nil {
			break
		}
		if shown == shownChain {
			chain.WriteString(" ...")
			break
		}
		fmt.Fprintf(&chain, ", by reaction %s of ", at.Origin.Reaction)
		cause := at.Origin.Cause
		if cause.TopicID != r.TopicID {
			chain.WriteString("a record of another log")
			break
		}
		before, err := r.Log.At(ctx, cause.Partition, cause.Offset)
		if err != nil {
			fmt.Fprintf(&chain, "%s: %v", cause, err)
			break
		}
		at = before
	}
	return fmt.Errorf("more than %d commands of reactions behind each other: %s", eventlog.MaxDepth, chain.String())
}
