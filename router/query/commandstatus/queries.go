package commandstatus

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// command is a command's status as clients see the status, members in this
// order.
type command struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
	Status string `json:"status"`
	// NotBefore is the time that a scheduled command waits for.
	NotBefore string `json:"notBefore,omitempty"`
	// Version is the stream's version after a successful command. Position is the
	// position of the outcome in the log.
	Version  int64  `json:"version,omitempty"`
	Position string `json:"position,omitempty"`
	// Problem is the problem of a refused command.
	Problem *web.Problem `json:"problem,omitempty"`
	// Stale is set if the read model stopped at a later outcome of this stream. A
	// command that waits may have a later outcome then.
	Stale bool `json:"stale,omitempty"`

	refusal    *aggregate.Refusal // without its kind
	at         string             // the position of the outcome, in any case
	generation int                // of the read model
	claims     bool               // the command waits for a claim
}

// state changes whenever the status changes.
func (c *command) state() string {
	state := c.Status
	if c.at != "" {
		state += "-" + c.at
	}
	if c.Stale {
		state += "-stale"
	}
	return state
}

// find returns a command's status, nil without an outcome.
func (q queries) find(ctx context.Context, view readmodel.View, stream, id string) (*command, error) {
	c, err := row(ctx, view, stream, id)
	if err != nil {
		return nil, err
	}
	if c != nil && c.Status != parked && c.Status != accepted && c.Status != scheduled {
		if c.refusal != nil {
			c.refusal.Kind = q.registry.KindOf(c.refusal.Slug)
			c.Problem = web.CommandRefused(id, c.refusal)
		}
		return c, nil
	}
	// A stream with commands that wait may have a later outcome, which the read model can't apply.
	head, err := view.Head(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read a stream's head: %w", err)
	}
	if c != nil {
		c.Stale = head.Parked != ""
	}
	return c, nil
}

// Outcome returns where in the log the outcome of a stream's command is, nil if
// store has none, or if the command waits for a claim (see [query.Reader.Outcome]).
func Outcome(ctx context.Context, store readmodel.Store, stream, id string) (at eventlog.Position, err error) {
	err = store.View(ctx, Projection, func(view readmodel.View) error {
		c, err := row(ctx, view, stream, id)
		if err == nil && c != nil && !c.claims {
			at, err = eventlog.ParsePosition(c.at)
		}
		return err
	})
	return at, err
}

func row(ctx context.Context, view readmodel.View, stream, id string) (*command, error) {
	rows, err := view.Query(ctx, "SELECT status, version, position, problem, detail FROM {commands}"+
		" WHERE stream = $1 AND command_id = $2", stream, id)
	if err != nil {
		return nil, fmt.Errorf("read a command: %w", err)
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	c := command{ID: id, Stream: stream, generation: view.Generation()}
	var version int64
	var problem, detail string
	if err := rows.Scan(&c.Status, &version, &c.at, &problem, &detail); err != nil {
		return nil, fmt.Errorf("read a command: %w", err)
	}
	switch c.Status {
	case succeeded:
		c.Version, c.Position = version, c.at
	case accepted:
		c.claims = eventlog.AwaitsClaim(detail)
	case scheduled:
		c.NotBefore = detail
	case refused:
		c.refusal = &aggregate.Refusal{Slug: problem, Detail: detail}
	}
	return &c, nil
}
