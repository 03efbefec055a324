package projections

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
)

const headerReadAfter = "Read-After"

// parseReadAfter is the position that an answer must include, nil if the
// client asks for none. A token that is malformed is a [web.Problem] of 400.
func parseReadAfter(h http.Header) (messaging.Position, error) {
	values := h.Values(headerReadAfter)
	if len(values) == 0 {
		return nil, nil
	}
	detail := "must be given once"
	if len(values) == 1 {
		position, err := messaging.ParsePosition(values[0])
		if err == nil {
			return position, nil
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

// viewAfter gives read a view that includes a position (nil for any), and
// returns the checkpoints of that view. A read model that doesn't get there in
// time is a [web.Problem] of 503.
func (rd *Reader) viewAfter(ctx context.Context, p *Projection, after messaging.Position, read func(context.Context, View) error) (at []Checkpoint, err error) {
	patience, cancel := context.WithTimeout(ctx, rd.ReadAfterTimeout)
	defer cancel()
	for woken := false; ; woken = true {
		at, err = rd.view(ctx, p, after, read)
		if !errors.Is(err, errBehind) {
			return at, err
		}
		m := rd.waits().of(rd.Store, p)
		m.seen(at, woken)
		for partition, next := range after {
			if !m.await(patience, rd.Stopping, partition, next) {
				return nil, web.Unavailable("the read model has not come to the position in " + headerReadAfter + " yet")
			}
		}
	}
}

// view is one look at a read model.
func (rd *Reader) view(ctx context.Context, p *Projection, after messaging.Position, read func(context.Context, View) error) (at []Checkpoint, err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err = rd.Store.View(ctx, p, func(view View) (err error) {
		if at, err = view.Checkpoints(ctx); err != nil {
			return err
		}
		if after != nil {
			if !PositionOf(at).Covers(after) {
				return errBehind
			}
			view = wholeView{view}
		}
		return read(ctx, view)
	})
	return at, err
}

// wholeView is a view under Read-After: a stream that stopped in the read
// model lacks what came after, however far the checkpoints are.
type wholeView struct{ View }

// Head is [View.Head]. A parked stream is a [web.Problem] of 503.
func (v wholeView) Head(ctx context.Context, stream string) (StreamHead, error) {
	head, err := v.View.Head(ctx, stream)
	if err == nil && head.Parked != "" {
		err = web.Unavailable("the read model stopped at an event of this user, and can't answer with " + headerReadAfter)
	}
	return head, err
}

// allow gives an answer that may be waited for the time to be written.
func (rd *Reader) allow(w http.ResponseWriter) {
	// What can't set it has no deadline to be in the way.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(rd.ReadAfterTimeout + readTimeout + answerTimeout))
}
