package query

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

const headerReadAfter = "Read-After"

// parseReadAfter is what an answer must include, nil if the client asks for
// nothing. A token that is malformed is a [web.Problem] of 400.
func parseReadAfter(h http.Header) (*eventlog.Awaited, error) {
	values := h.Values(headerReadAfter)
	if len(values) == 0 {
		return nil, nil
	}
	detail := "must be given once"
	if len(values) == 1 {
		after, err := eventlog.ParseAwaited(values[0])
		if err == nil {
			return &after, nil
		}
		detail = err.Error()
	}
	return nil, &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: "the header " + headerReadAfter + " is not valid",
		Errors: []web.FieldError{{Parameter: headerReadAfter, Detail: detail}},
	}
}

var errBehind = errors.New("the read model isn't there yet")

// lookAfter looks at a read model until it includes a position, or a command's
// outcome, and returns when that was. A read model that doesn't get there in
// time is a [web.Problem] of 503.
func (rd *Reader) lookAfter(ctx context.Context, p *projection.Projection, after *eventlog.Awaited, look func(context.Context, *eventlog.Awaited) (*readPoint, error)) (at *readPoint, err error) {
	patience, cancel := context.WithTimeout(ctx, rd.ReadAfterTimeout)
	defer cancel()
	var behind time.Time // since when it waits
	defer func() {
		if rd.Waited != nil && !behind.IsZero() {
			rd.Waited(time.Since(behind), errors.Is(err, errTooLate))
		}
	}()
	for woken := false; ; woken = true {
		at, err = look(ctx, after)
		if !errors.Is(err, errBehind) {
			return at, err
		}
		if !woken {
			behind = time.Now()
		}
		m := rd.waits().Of(rd.Store, p)
		m.Seen(at.checkpoints, woken)
		if after, err = rd.await(patience, m, after); err != nil {
			return nil, err
		}
	}
}

// await waits until the read model is said to include what the client awaits,
// and returns what is left to ask of a view.
func (rd *Reader) await(ctx context.Context, m *readmodel.ModelWaits, after *eventlog.Awaited) (*eventlog.Awaited, error) {
	for partition, next := range after.Position {
		if !m.Await(ctx, rd.Stopping, partition, next) {
			return nil, errTooLate
		}
	}
	if after.Command == nil {
		return after, nil
	}
	position, err := rd.awaitCommand(ctx, m, after.Command)
	if position != nil {
		after = &eventlog.Awaited{Position: after.Position.Max(position)}
	}
	return after, err
}

var errTooLate = web.Unavailable("the read model has not come so far yet")

// askFirst is after how long a command's outcome is looked for elsewhere, and
// twice as long each time.
const askFirst = 50 * time.Millisecond

// AwaitCommand waits for a command's outcome. One that repeats another's id
// makes no record of its own: then its stream's head never comes to it, but
// its outcome, and the position of that, may be known.
func (rd *Reader) awaitCommand(ctx context.Context, m *readmodel.ModelWaits, c *eventlog.SentCommand) (eventlog.Position, error) {
	if !m.Projection.IsOf(c.Stream) {
		return rd.awaitOutcome(ctx, c)
	}
	for pause := askFirst; ; pause *= 2 {
		slice, cancel := context.WithTimeout(ctx, pause)
		decided := m.AwaitCommand(slice, rd.Stopping, c)
		cancel()
		switch {
		case decided:
			return nil, nil
		case ctx.Err() != nil || rd.stopping():
			return nil, errTooLate
		case rd.Outcome == nil:
			continue
		}
		position, err := rd.Outcome(ctx, c.Stream, c.ID)
		if position != nil || err != nil {
			return position, err
		}
	}
}

const (
	// outcomeFirst and outcomeLast are the pauses between two questions for the
	// outcome of a command of another aggregate: longer each time.
	outcomeFirst = 4 * time.Millisecond
	outcomeLast  = 128 * time.Millisecond
)

// awaitOutcome waits until the position of a command's outcome is known. The
// command is of an aggregate that the read model is not of: the read model keeps
// no head of the stream, so that nothing but the position tells when the read
// model is past the outcome.
func (rd *Reader) awaitOutcome(ctx context.Context, c *eventlog.SentCommand) (eventlog.Position, error) {
	for pause := outcomeFirst; ; pause = min(pause*2, outcomeLast) {
		if rd.Outcome != nil {
			position, err := rd.Outcome(ctx, c.Stream, c.ID)
			if ctx.Err() != nil {
				return nil, errTooLate
			}
			if position != nil || err != nil {
				return position, err
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errTooLate
		case <-rd.Stopping:
			timer.Stop()
			return nil, errTooLate
		}
	}
}

// AwaitMove waits until the read model is past a position in any of the
// partitions that are in it, those at 0 too. It says false if the context has
// ended, or the service stops.
func (rd *Reader) AwaitMove(ctx context.Context, p *projection.Projection, past eventlog.Position) bool {
	return rd.waits().Of(rd.Store, p).AwaitMove(ctx, rd.Stopping, past)
}

func (rd *Reader) stopping() bool {
	select {
	case <-rd.Stopping:
		return true
	default:
		return false
	}
}

// view is one look at a read model.
func (rd *Reader) view(ctx context.Context, p *projection.Projection, after *eventlog.Awaited, read func(context.Context, readmodel.View) error) (at *readPoint, err error) {
	ctx, cancel := context.WithTimeout(ctx, readmodel.ReadTimeout)
	defer cancel()
	err = rd.Store.View(ctx, p, func(view readmodel.View) (err error) {
		checkpoints, err := view.Checkpoints(ctx)
		if err != nil {
			return err
		}
		at = readPointOf(checkpoints)
		if after != nil {
			view = wholeView{view}
			if err := includes(ctx, view, checkpoints, after); err != nil {
				return err
			}
		}
		return read(ctx, view)
	})
	return at, err
}

// includes returns errBehind for a view that lacks what a client awaits.
func includes(ctx context.Context, view readmodel.View, at []readmodel.Checkpoint, after *eventlog.Awaited) error {
	if !readmodel.PositionOf(at).Covers(after.Position) {
		return errBehind
	}
	if c := after.Command; c != nil {
		head, err := view.Head(ctx, c.Stream)
		if err == nil && !head.HasDecided(c.CommandPosition) {
			err = errBehind
		}
		return err
	}
	return nil
}

// wholeView is a view under Read-After: a stream that stopped in the read
// model lacks what came after, however far the checkpoints are.
type wholeView struct{ readmodel.View }

// Head is [readmodel.View.Head]. A parked stream is a [web.Problem] of 503.
func (v wholeView) Head(ctx context.Context, stream string) (readmodel.StreamHead, error) {
	head, err := v.View.Head(ctx, stream)
	return head, cmp.Or(err, whole(head))
}

// Heads is [readmodel.View.Heads]. A parked stream is a [web.Problem] of 503.
func (v wholeView) Heads(ctx context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	heads, err := v.View.Heads(ctx, streams)
	for _, head := range heads {
		err = cmp.Or(err, whole(head))
	}
	return heads, err
}

// Parked is [readmodel.View.Parked]. A parked stream is a [web.Problem] of 503.
func (v wholeView) Parked(ctx context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	heads, err := v.View.Parked(ctx, streams)
	for _, head := range heads {
		err = cmp.Or(err, whole(head))
	}
	return heads, err
}

func whole(head readmodel.StreamHead) error {
	if head.Parked == "" {
		return nil
	}
	return web.Unavailable("the read model stopped at an event of this stream")
}

// allow gives an answer that may be waited for the time to be written.
func (rd *Reader) allow(w http.ResponseWriter) {
	// What can't set it has no deadline to be in the way.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rd.ReadAfterTimeout + readmodel.ReadTimeout + answerTimeout))
}
