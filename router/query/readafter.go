package query

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

const headerReadAfter = "Read-After"

// awaited is what a query waits for.
type awaited struct {
	eventlog.Awaited
	// decided means that the position is past the command's outcome. Then the
	// command's stream must not be parked, and the stream's head is not read.
	decided bool
}

// parseReadAfter is the position or the command in Read-After, nil without the
// header. A malformed token is a [web.Problem] of 400.
func parseReadAfter(h http.Header) (*awaited, error) {
	values := h.Values(headerReadAfter)
	if len(values) == 0 {
		return nil, nil
	}
	detail := "must be given once"
	if len(values) == 1 {
		after, err := eventlog.ParseAwaited(values[0])
		if err == nil {
			return &awaited{Awaited: after}, nil
		}
		detail = err.Error()
	}
	return nil, &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: "the header " + headerReadAfter + " is not valid",
		Errors: []web.FieldError{{Parameter: headerReadAfter, Detail: detail}},
	}
}

var (
	errBehind = errors.New("the read model isn't there yet")
	errMoved  = errors.New("the read model has moved since the view")
)

// maxMoved is how often a query looks again at once, because the read model has
// moved since the last view.
const maxMoved = 3

// lookAfter looks at a read model until the read model includes a position or a
// command's outcome, and returns the read point. If the read model is too late,
// the error is a [web.Problem] of 503.
func (rd *Reader) lookAfter(ctx context.Context, p *projection.Projection, after *awaited, look func(context.Context, *awaited) (*readPoint, error)) (at *readPoint, err error) {
	patience, cancel := context.WithTimeout(ctx, rd.ReadAfterTimeout)
	defer cancel()
	m, began := rd.waits().Of(rd.Store, p), time.Now()
	var behind time.Time // the begin of the wait
	defer func() {
		if rd.Waited != nil && !behind.IsZero() {
			rd.Waited(time.Since(behind), errors.Is(err, errTooLate))
		}
	}()
	after, woken := rd.awaitNew(patience, m, after)
	if woken {
		behind = began
	}
	for moved := 0; ; {
		at, err = look(ctx, after)
		if !errors.Is(err, errBehind) {
			return at, err
		}
		if behind.IsZero() {
			behind = time.Now()
		}
		m.Seen(at.checkpoints, woken)
		next, err := rd.await(patience, m, after, at.checkpoints)
		if errors.Is(err, errMoved) {
			// After some views the known checkpoint is taken for another
			// generation's.
			moved++
			woken = moved > maxMoved
			continue
		}
		if err != nil {
			return nil, err
		}
		after, woken = next, true
	}
}

// expectFirst is how long a query waits for a command that is probably not
// decided yet, before the first view.
const expectFirst = 20 * time.Millisecond

// awaitNew waits for a command that is probably not decided yet, so that a query
// needs one view and not two. awaitNew returns what the first view must include,
// and whether the command is decided.
func (rd *Reader) awaitNew(ctx context.Context, m *readmodel.ModelWaits, after *awaited) (_ *awaited, decided bool) {
	if after.Command == nil || !m.Projection.IsOf(after.Command.Stream) {
		return after, false
	}
	next, decided := m.AwaitNew(ctx, rd.Stopping, after.Command, expectFirst)
	return after.decidedBefore(next), decided
}

// await waits until the read model seems to include the awaited position or
// command. await returns what the next view must include. seen is the
// checkpoints of the last view.
func (rd *Reader) await(ctx context.Context, m *readmodel.ModelWaits, after *awaited, seen []readmodel.Checkpoint) (*awaited, error) {
	for partition, next := range after.Position {
		if !m.Await(ctx, rd.Stopping, partition, next) {
			return nil, errTooLate
		}
	}
	if after.Command == nil || after.decided {
		return after, nil
	}
	return rd.awaitCommand(ctx, m, after, seen)
}

// past is the awaited position, and another one, without the command.
func (a *awaited) past(position eventlog.Position) *awaited {
	return &awaited{Awaited: eventlog.Awaited{Position: a.Position.Max(position)}}
}

// decidedBefore is the awaited command with a checkpoint that includes the
// outcome, 0 if unknown.
func (a *awaited) decidedBefore(next int64) *awaited {
	if next == 0 {
		return a
	}
	position := eventlog.Position{a.Command.Partition: next}
	return &awaited{Awaited: eventlog.Awaited{Position: a.Position.Max(position), Command: a.Command}, decided: true}
}

var errTooLate = web.Unavailable("the read model has not come so far yet")

// askFirst is the first pause before a command's outcome is looked up by id.
// Each pause is twice as long as the pause before.
const askFirst = 50 * time.Millisecond

// awaitCommand waits for a command's outcome. A command that repeats the id of
// an earlier command makes no record, so the head of the stream never decides
// the command. But the position of the earlier command's outcome may be known:
// then the next view must include the position.
func (rd *Reader) awaitCommand(ctx context.Context, m *readmodel.ModelWaits, after *awaited, seen []readmodel.Checkpoint) (*awaited, error) {
	c := after.Command
	if !m.Projection.IsOf(c.Stream) {
		position, err := rd.awaitOutcome(ctx, c)
		if position != nil {
			after = after.past(position)
		}
		return after, err
	}
	last := readmodel.PositionOf(seen)[c.Partition]
	for pause := askFirst; ; pause *= 2 {
		slice, cancel := context.WithTimeout(ctx, pause)
		next, decided, moved := m.AwaitCommand(slice, rd.Stopping, c, last)
		cancel()
		last = math.MaxInt64 // the engine has woken this waiter, or will
		switch {
		case moved:
			return nil, errMoved
		case decided:
			return after.decidedBefore(next), nil
		case ctx.Err() != nil || rd.stopping():
			return nil, errTooLate
		case rd.Outcome == nil:
			continue
		}
		position, err := rd.Outcome(ctx, c.Stream, c.ID)
		if err != nil {
			return nil, err
		}
		if position != nil {
			return after.past(position), nil
		}
	}
}

const (
	// outcomeFirst and outcomeLast are the first and the longest pause between
	// two lookups of the outcome of another aggregate's command.
	outcomeFirst = 4 * time.Millisecond
	outcomeLast  = 128 * time.Millisecond
)

// awaitOutcome waits until the position of a command's outcome is known. The
// read model is not of the command's aggregate and keeps no head of the stream,
// so only the position can tell when the read model is past the outcome.
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

// AwaitMove waits until the read model is past a position in any partition of
// the position, also in a partition at 0. AwaitMove returns false if the context
// has ended, or if the service stops.
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

// view opens a view of a read model, checks that the view includes the awaited
// position, and calls read.
func (rd *Reader) view(ctx context.Context, p *projection.Projection, after *awaited, read func(context.Context, readmodel.View) error) (at *readPoint, err error) {
	ctx, cancel := context.WithTimeout(ctx, readmodel.ReadTimeout)
	defer cancel()
	err = rd.Store.View(ctx, p, func(view readmodel.View) (err error) {
		checkpoints, err := view.Checkpoints(ctx)
		if err != nil {
			return err
		}
		at = readPointOf(checkpoints)
		if after != nil {
			whole := wholeView{view}
			if err := includes(ctx, whole, checkpoints, after); err != nil {
				return err
			}
			view = whole
		}
		return read(ctx, view)
	})
	return at, err
}

// includes returns errBehind if a view lacks the awaited position or command.
func includes(ctx context.Context, view wholeView, at []readmodel.Checkpoint, after *awaited) error {
	if !readmodel.PositionOf(at).Covers(after.Position) {
		return errBehind
	}
	c := after.Command
	if c != nil && after.decided {
		_, err := view.Parked(ctx, []string{c.Stream})
		return err
	}
	if c != nil {
		head, err := view.Head(ctx, c.Stream)
		if err == nil && !head.HasDecided(c.CommandPosition) {
			err = errBehind
		}
		return err
	}
	return nil
}

// wholeView is a view under Read-After. A stream that is parked in the read
// model is an error, because the rows lack later events although the checkpoints
// are far enough.
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

// allow extends the write deadline of a request that may wait.
func (rd *Reader) allow(w http.ResponseWriter) {
	// A writer without deadlines needs no extension.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rd.ReadAfterTimeout + readmodel.ReadTimeout + answerTimeout))
}
