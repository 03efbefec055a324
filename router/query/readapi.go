package query

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// answerTimeout is how long a client may take to read an answer that had to be
// waited for.
const answerTimeout = time.Minute

// Reader is what the queries of all read models stand on.
type Reader struct {
	Store readmodel.Store
	Log   *slog.Logger
	// PublicURL is where clients find the read API, as http://localhost:3002.
	PublicURL string
	// ReadAfterTimeout is how long a read waits for the position that its
	// client names in Read-After.
	ReadAfterTimeout time.Duration
	// Outcome, if not nil, returns where in the log a command's outcome is, nil
	// if that isn't known.
	Outcome func(ctx context.Context, stream, commandID string) (eventlog.Position, error)
	// Commands is asked about commands that have no outcome in the read model
	// of command statuses.
	Commands Commands
	// Waited, if not nil, is told of each read that had to wait for what it
	// names in Read-After, and whether it was in vain.
	Waited func(took time.Duration, tooLate bool)
	// Stopping, once closed, ends all waits.
	Stopping <-chan struct{}
	// Waits are those of the engines in this process, nil if it has none.
	Waits *readmodel.Waits

	own     readmodel.Waits // where there are no others
	lookups lookups
}

func (rd *Reader) waits() *readmodel.Waits {
	if rd.Waits != nil {
		return rd.Waits
	}
	return &rd.own
}

// Get routes GET and HEAD of a path to a handler that returns what went wrong
// (see [web.Handler]).
func (rd *Reader) Get(router *mux.Router, path string, serve func(http.ResponseWriter, *http.Request) error) {
	router.Handle(path, web.Handler(rd.Log, serve)).Methods(http.MethodGet, http.MethodHead)
}

// URL is the absolute URL of a path of the read API.
func (rd *Reader) URL(path string) string {
	return strings.TrimSuffix(rd.PublicURL, "/") + path
}

// Read lets read look at a view of p, and sets the headers of whatever is
// answered by it, a [web.Problem] of read too: the Position it was read at,
// and how it may be cached. With Read-After in the request the view includes
// what that names, or the client is told in time that it can't have it. Answer
// after Read, not in it: a slow client would hold the store's connection. A
// read model that isn't there yet is a [web.Problem] of 503.
func (rd *Reader) Read(w http.ResponseWriter, r *http.Request, p *projection.Projection, read func(context.Context, readmodel.View) error) error {
	after, err := parseReadAfter(r.Header)
	if err != nil {
		return err
	}
	return rd.read(w, r, p, after, read)
}

// ReadAgain is another [Reader.Read] for the same answer, when the first one
// did not tell enough: of a view that includes this position.
func (rd *Reader) ReadAgain(w http.ResponseWriter, r *http.Request, p *projection.Projection, after eventlog.Position, read func(context.Context, readmodel.View) error) error {
	return rd.read(w, r, p, &eventlog.Awaited{Position: after}, read)
}

func (rd *Reader) read(w http.ResponseWriter, r *http.Request, p *projection.Projection, after *eventlog.Awaited, read func(context.Context, readmodel.View) error) error {
	return rd.answer(w, r, p, after, func(ctx context.Context, after *eventlog.Awaited) (*readPoint, error) {
		return rd.view(ctx, p, after, read)
	})
}

// readPoint is when a read model was looked at.
type readPoint struct {
	checkpoints []readmodel.Checkpoint
	token       string // of them as a position
}

func readPointOf(checkpoints []readmodel.Checkpoint) *readPoint {
	return &readPoint{checkpoints, eventlog.EncodePosition(readmodel.PositionOf(checkpoints))}
}

// answer looks at a read model as [Reader.Read] says.
func (rd *Reader) answer(w http.ResponseWriter, r *http.Request, p *projection.Projection, after *eventlog.Awaited, look func(context.Context, *eventlog.Awaited) (*readPoint, error)) (err error) {
	var at *readPoint
	if after == nil {
		at, err = look(r.Context(), nil)
	} else {
		rd.allow(w)
		at, err = rd.lookAfter(r.Context(), p, after, look)
	}
	if errors.Is(err, readmodel.ErrNotPrepared) {
		return web.Unavailable("the read model isn't there yet")
	}
	if errors.Is(err, readmodel.ErrOtherDefinition) {
		return web.Unavailable("the read model is still to be rebuilt")
	}
	if problem := (*web.Problem)(nil); at != nil && (err == nil || errors.As(err, &problem)) {
		w.Header().Set("Position", at.token)
		// Keep it, but ask each time: what was written is to be seen at once,
		// and asking is cheap with an ETag. Without this header a cache may
		// keep a 404 or 410 as long as it likes (RFC 9111, section 4.2.2).
		w.Header().Set("Cache-Control", "no-cache")
	}
	return err
}

// ETag is the weak entity tag of an answer: of the generation that it was read
// from, for a rebuilt read model may answer otherwise at the same version, and
// of its state, such as its version, in the characters that RFC 9110, section
// 8.8.3, allows.
func ETag(generation int, state string) string {
	return `W/"` + strconv.Itoa(generation) + "-" + state + `"`
}

// NotModified sets the ETag of an answer, and says whether the client holds
// that already (If-None-Match, RFC 9110, section 13.1.2). Then 304 has been
// answered.
func NotModified(w http.ResponseWriter, r *http.Request, etag string) bool {
	w.Header().Set("ETag", etag)
	if !namesETag(strings.Join(r.Header.Values("If-None-Match"), ","), etag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// namesETag says whether a list of entity tags is * or has this one in it, by
// weak comparison. What follows on a malformed tag is ignored.
func namesETag(list, etag string) bool {
	if strings.Trim(list, " \t") == "*" {
		return true
	}
	opaque := strings.TrimPrefix(etag, "W/")
	for {
		list = strings.TrimPrefix(strings.TrimLeft(list, " \t,"), "W/")
		if !strings.HasPrefix(list, `"`) {
			return false
		}
		end := strings.IndexByte(list[1:], '"') + 2 // a tag may hold commas
		if end < 2 {
			return false
		}
		if list[:end] == opaque {
			return true
		}
		list = strings.TrimLeft(list[end:], " \t")
		if list != "" && list[0] != ',' {
			return false
		}
	}
}

// Query returns the request's query parameters. One that is malformed, that
// isn't known, or that comes twice is a [web.Problem] of 400.
func Query(r *http.Request, known ...string) (url.Values, error) {
	query := url.Values{}
	var wrong []web.FieldError
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		one, err := url.ParseQuery(pair)
		if err != nil {
			name, _, _ := strings.Cut(pair, "=")
			wrong = append(wrong, web.FieldError{Parameter: cmp.Or(name, pair), Detail: "is malformed"})
			continue
		}
		for name, values := range one {
			switch {
			case !slices.Contains(known, name):
				wrong = append(wrong, web.FieldError{Parameter: cmp.Or(name, pair), Detail: "is not a parameter of this query"})
			case query.Has(name):
				wrong = append(wrong, web.FieldError{Parameter: name, Detail: "must be given once"})
			default:
				query[name] = values
			}
		}
	}
	if len(wrong) > 0 {
		return nil, InvalidQuery(wrong)
	}
	return query, nil
}

// InvalidQuery is the problem of these query parameters.
func InvalidQuery(wrong []web.FieldError) *web.Problem {
	return &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: "the query parameters are not valid",
		Errors: wrong,
	}
}
