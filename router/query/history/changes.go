package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

const (
	headerLastEventID = "Last-Event-ID"
	parameterAfter    = "after"
	// heartbeat is the pause after which a quiet stream sends a sign of life.
	heartbeat = 15 * time.Second
	// writeTimeout is how long a client may take to read one write.
	writeTimeout = 30 * time.Second
	// reconnect is the least pause before a browser comes again. Each client gets
	// a pause of up to three times as long, because all come at once after a stop.
	reconnect = time.Second
)

// changes answers GET /changes: the events of all aggregates, or with
// ?of=<plural> of one type of aggregates, as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type changes struct {
	queries
	feed *feed
}

// serve sends the changes after Last-Event-ID, or after the parameter after, or
// from now on, until the client leaves or is too slow, or the service stops. A
// client asks again with the last id received: then no change is missing, and
// none comes twice.
func (c changes) serve(w http.ResponseWriter, r *http.Request) error {
	parameters, err := query.Query(r, "of", parameterAfter)
	if err != nil {
		return err
	}
	of, err := c.of(parameters)
	if err != nil {
		return err
	}
	from, err := lastEventID(r.Header)
	if err != nil {
		return err
	}
	after, err := afterOf(parameters)
	if err != nil {
		return err
	}
	if from == nil {
		from = after
	}
	var now eventlog.Position
	err = c.Read(w, r, Projection, func(ctx context.Context, view readmodel.View) error {
		checkpoints, err := view.Checkpoints(ctx)
		now = readmodel.PositionOf(checkpoints)
		return err
	})
	if err != nil {
		return err
	}
	if from == nil {
		from = now
	}
	s := &stream{control: http.NewResponseController(w), w: w, of: of, at: maps.Clone(from)}
	_ = s.control.SetReadDeadline(time.Time{}) // the request ends when the client leaves, not after read_timeout
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("X-Accel-Buffering", "no") // or a proxy would buffer the events
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		// From here on the end of the answer is the only sign of an error.
		_ = c.send(web.ClientContext(r), s)
	}
	return nil
}

// of is the type of aggregates in the parameter of, a plural. Nil means all
// types.
func (c changes) of(parameters url.Values) (*aggregate.Type, error) {
	if !parameters.Has("of") {
		return nil, nil
	}
	if t := c.registry.ByPlural(parameters.Get("of")); t != nil {
		return t, nil
	}
	var plurals []string
	for _, t := range c.registry.Types() {
		plurals = append(plurals, t.Plural())
	}
	return nil, query.InvalidQuery([]web.FieldError{{Parameter: "of", Detail: "must be one of: " + strings.Join(plurals, ", ")}})
}

// afterOf is the position in the parameter after, nil without the parameter. A
// page can't send headers with an EventSource; when the browser comes again, the
// browser sends Last-Event-ID, which is newer.
func afterOf(parameters url.Values) (eventlog.Position, error) {
	if !parameters.Has(parameterAfter) {
		return nil, nil
	}
	from, err := eventlog.ParsePosition(parameters.Get(parameterAfter))
	if err != nil {
		return nil, query.InvalidQuery([]web.FieldError{{Parameter: parameterAfter, Detail: err.Error()}})
	}
	return from, nil
}

// lastEventID is the position in Last-Event-ID, nil for a new client.
func lastEventID(h http.Header) (eventlog.Position, error) {
	values := h.Values(headerLastEventID)
	if len(values) == 0 {
		return nil, nil
	}
	detail := "must be given once"
	if len(values) == 1 {
		from, err := eventlog.ParsePosition(values[0])
		if err == nil {
			return from, nil
		}
		detail = err.Error()
	}
	return nil, &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: "the header " + headerLastEventID + " is not valid",
		Errors: []web.FieldError{{Parameter: headerLastEventID, Detail: detail}},
	}
}

var errCut = errors.New("the client reads too slowly")

// send sends the changes up to now, and then the new changes from the feed.
func (c changes) send(ctx context.Context, s *stream) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-c.Stopping:
			stop()
		case <-ctx.Done():
		}
	}()
	if err := s.begin(reconnect + rand.N(2*reconnect)); err != nil { //nolint:gosec // spreads the load
		return err
	}
	if _, err := c.feed.pages(ctx, s.at, nil, s.page); err != nil {
		return err
	}
	who, err := c.feed.follow(ctx, func() { _ = s.control.SetWriteDeadline(time.Unix(1, 0)) })
	if err != nil {
		return err
	}
	defer c.feed.unfollow(who)
	if _, err := c.feed.pages(ctx, s.at, who.from, s.page); err != nil { // changes in the meantime
		return err
	}
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		select {
		case page, ok := <-who.pages:
			if !ok {
				return errCut
			}
			quiet := s.sent
			if err := s.page(page, nil); err != nil {
				return err
			}
			who.taken(page)
			if s.sent != quiet {
				alive.Reset(heartbeat)
			}
		case <-alive.C:
			if err := s.alive(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stream is the connection to one client.
type stream struct {
	control *http.ResponseController
	w       http.ResponseWriter
	of      *aggregate.Type   // nil for all
	at      eventlog.Position // the position that the client has reached
	passed  bool              // at is past changes of other types than of, and the client does not know
	sent    int               // the number of writes
	buffer  []byte
}

// begin tells the client the pause before the client comes again, and the
// client's position. So the client can continue there, even if no change comes
// for long.
func (s *stream) begin(pause time.Duration) error {
	return s.write(fmt.Appendf(nil, "retry: %d\nid: %s\n\n", pause.Milliseconds(), eventlog.EncodePosition(s.at)))
}

// alive sends a sign of life: a comment, or the position, if changes for other
// clients went by. The client need not pass such changes again then.
func (s *stream) alive() error {
	if s.passed {
		s.passed = false
		return s.write([]byte("id: " + eventlog.EncodePosition(s.at) + "\n\n"))
	}
	return s.write([]byte(": alive\n\n"))
}

// wants says whether a change is for the client.
func (s *stream) wants(c *change) bool {
	if s.of == nil {
		return true
	}
	name, _, _ := aggregate.SplitStream(c.Stream)
	return name == s.of.Name()
}

// page sends the changes of a page that the client does not have.
func (s *stream) page(page []change, _ eventlog.Position) error {
	out := s.buffer[:0]
	for i := range page {
		c := &page[i]
		if c.offset < s.at[c.partition] {
			continue
		}
		s.at[c.partition] = c.offset + 1
		if !s.wants(c) {
			s.passed = true
			continue
		}
		data, err := json.Marshal(c)
		if err != nil {
			return err
		}
		out = append(out, "id: "...)
		out = append(out, eventlog.EncodePosition(s.at)...)
		out = append(out, "\nevent: "...)
		out = append(out, c.Type...)
		out = append(out, "\ndata: "...)
		out = append(out, data...)
		out = append(out, "\n\n"...)
	}
	s.buffer = out
	if len(out) == 0 {
		return nil
	}
	return s.write(out)
}

func (s *stream) write(text []byte) error {
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	s.sent++
	return s.control.Flush()
}
