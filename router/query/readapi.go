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

// answerTimeout is how long a client may take to read an answer after a wait.
const answerTimeout = time.Minute

// Reader is the base of all queries: the store, and everything that Read-After
// needs.
type Reader struct {
	Store readmodel.Store
	Log   *slog.Logger
	// PublicURL is the read API's URL for clients, as http://localhost:3002.
	PublicURL string
	// ReadAfterTimeout is how long a query waits for the position in Read-After.
	ReadAfterTimeout time.Duration
	// Outcome, if not nil, returns the position of a command's outcome, nil if the
	// position is unknown.
	Outcome func(ctx context.Context, stream, commandID string) (eventlog.Position, error)
	// Commands is asked about commands without an outcome in the read model of
	// command statuses.
	Commands Commands
	// Waited, if not nil, is called after each wait for a Read-After. If tooLate is
	// set, the client got a 503.
	Waited func(took time.Duration, tooLate bool)
	// Stopping, once closed, ends all waits.
	Stopping <-chan struct{}
	// Waits are woken by the engines of this process. Nil in a process without
	// engines.
	Waits *readmodel.Waits

	own     readmodel.Waits // if Waits is nil
	lookups lookups
}

func (rd *Reader) waits() *readmodel.Waits {
	if rd.Waits != nil {
		return rd.Waits
	}
	return &rd.own
}

// Get routes GET and HEAD of a path to a handler. An error of the handler
// becomes the answer (see [web.Handler]).
func (rd *Reader) Get(router *mux.Router, path string, serve func(http.ResponseWriter, *http.Request) error) {
	router.Handle(path, web.Handler(rd.Log, serve)).Methods(http.MethodGet, http.MethodHead)
}

// URL is the absolute URL of a path of the read API.
func (rd *Reader) URL(path string) string {
	return strings.TrimSuffix(rd.PublicURL, "/") + path
}

// Read opens a view of read model p, calls read, and sets the headers Position
// and Cache-Control of the answer, which may be a [web.Problem] of read. If the
// request has Read-After, the view includes the position, or the client gets a
// 503 in time. Write the answer after Read, not in read, because a slow client
// would hold a connection of the store. A read model without tables is a
// [web.Problem] of 503.
func (rd *Reader) Read(w http.ResponseWriter, r *http.Request, p *projection.Projection, read func(context.Context, readmodel.View) error) error {
	after, err := parseReadAfter(r.Header)
	if err != nil {
		return err
	}
	return rd.read(w, r, p, after, read)
}

// ReadAgain is a second [Reader.Read] for the same answer, of a view that
// includes this position.
func (rd *Reader) ReadAgain(w http.ResponseWriter, r *http.Request, p *projection.Projection, after eventlog.Position, read func(context.Context, readmodel.View) error) error {
	return rd.read(w, r, p, &awaited{Awaited: eventlog.Awaited{Position: after}}, read)
}

func (rd *Reader) read(w http.ResponseWriter, r *http.Request, p *projection.Projection, after *awaited, read func(context.Context, readmodel.View) error) error {
	return rd.answer(w, r, p, after, func(ctx context.Context, after *awaited) (*readPoint, error) {
		return rd.view(ctx, p, after, read)
	})
}

// readPoint is the state of a read model in one view.
type readPoint struct {
	checkpoints []readmodel.Checkpoint
	token       string // the checkpoints as a position
}

func readPointOf(checkpoints []readmodel.Checkpoint) *readPoint {
	return &readPoint{checkpoints, eventlog.EncodePosition(readmodel.PositionOf(checkpoints))}
}

// answer looks at a read model as [Reader.Read] says.
func (rd *Reader) answer(w http.ResponseWriter, r *http.Request, p *projection.Projection, after *awaited, look func(context.Context, *awaited) (*readPoint, error)) (err error) {
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
		// A cache may keep the answer, but has to ask each time, so that clients see
		// new events at once. With an ETag asking is cheap. Without this header a
		// cache may keep a 404 or 410 as long as it likes (RFC 9111, section 4.2.2).
		w.Header().Set("Cache-Control", "no-cache")
	}
	return err
}

// ETag is the weak entity tag of an answer. The tag has the generation, because
// a rebuilt read model may answer otherwise at the same version, and a state,
// such as the version, in the characters of RFC 9110, section 8.8.3.
func ETag(generation int, state string) string {
	return `W/"` + strconv.Itoa(generation) + "-" + state + `"`
}

// NotModified sets the ETag of an answer, and says whether the client has the
// same answer already (If-None-Match, RFC 9110, section 13.1.2). In this case
// NotModified has answered 304.
func NotModified(w http.ResponseWriter, r *http.Request, etag string) bool {
	w.Header().Set("ETag", etag)
	if !namesETag(strings.Join(r.Header.Values("If-None-Match"), ","), etag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

// namesETag says whether a list of entity tags is *, or has this tag, by weak
// comparison. The rest of the list behind a malformed tag is ignored.
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

// Query returns the request's query parameters. A malformed, unknown or repeated
// parameter is a [web.Problem] of 400.
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

// InvalidQuery is the 400 for wrong query parameters.
func InvalidQuery(wrong []web.FieldError) *web.Problem {
	return &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: "the query parameters are not valid",
		Errors: wrong,
	}
}
