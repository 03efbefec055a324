package console

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/web"
)

// Trouble is the view of parked commands, streams parked in reactions, and dead
// letters.
type Trouble struct {
	Registry *aggregate.Registry
	// Parked returns the parked commands. The error says why there are none: the
	// process has no command service, or the command service has not started.
	Parked func(context.Context) (*operations.Parked, error)
	// Reactions are the names of all reactions, the router's own included.
	Reactions  []string
	Partitions int32
	// DeadLetters are those of the service.
	DeadLetters *operations.DeadLetters
}

// Routes implements the Part of a [View].
func (t *Trouble) Routes(api *API) {
	api.Get("/api/parked", t.list)
	api.Get("/api/parked/{aggregate}/{id}", t.queue)
	api.Post("/api/parked/{aggregate}/{id}/requeue", t.requeue)
	api.Post("/api/parked/{aggregate}/{id}/drop", t.drop)
	api.Get("/api/reactions/parked", withoutQuery(t.causes))
	api.Post("/api/reactions/{reaction}/retry", t.retryCause)
	api.Post("/api/reactions/{reaction}/skip", t.skipCause)
	api.Get("/api/dead-letters", t.letters)
	api.Get("/api/dead-letters/{partition}/{offset}", withoutQuery(t.letter))
	api.Post("/api/dead-letters/{partition}/{offset}/drop", t.dropLetter)
}

// waiting is a command that waits, in an answer.
type waiting struct {
	ID              string          `json:"id"`
	Type            string          `json:"type"`
	Time            string          `json:"time"`
	Payload         json.RawMessage `json:"payload,omitempty"`
	Text            string          `json:"text,omitempty"` // of a payload that is no JSON
	ExpectedVersion *uint64         `json:"expectedVersion,omitempty"`
	Reason          string          `json:"reason"`
	Stack           string          `json:"stack,omitempty"`
}

func waitingOf(d *decider.DeferredCommand) waiting {
	c := waiting{ID: d.ID, Type: d.Type, Time: eventlog.FormatTime(d.Time), ExpectedVersion: d.ExpectedVersion, Reason: d.Reason, Stack: d.Stack}
	if json.Valid(d.Body) {
		c.Payload = d.Body
	} else {
		c.Text = string(d.Body)
	}
	return c
}

// list answers with a page of the streams whose commands wait, by name.
func (t *Trouble) list(w http.ResponseWriter, r *http.Request) error {
	query, limit, err := pageOf(r)
	if err != nil {
		return err
	}
	parked, err := t.Parked(r.Context())
	if err != nil {
		return err
	}
	type stream struct {
		Stream  string  `json:"stream"`
		Parked  bool    `json:"parked"`
		Waiting int     `json:"waiting"`
		First   waiting `json:"first"`
	}
	all := parked.List()
	page := struct {
		Streams []stream `json:"streams"`
		Total   int      `json:"total"`
		Next    string   `json:"next,omitempty"`
	}{Streams: []stream{}, Total: len(all)}
	from, found := slices.BinarySearchFunc(all, query.Get("after"), func(s decider.ParkedStream, name string) int { return strings.Compare(s.Stream, name) })
	if found {
		from++
	}
	for _, s := range all[from:min(len(all), from+int(limit))] {
		page.Streams = append(page.Streams, stream{s.Stream, s.Parked, s.Waiting, waitingOf(&s.Deferred[0])})
	}
	if n := len(page.Streams); n > 0 && from+n < len(all) {
		page.Next = page.Streams[n-1].Stream
	}
	web.WriteJSON(w, http.StatusOK, page)
	return nil
}

// queue answers with a page of the commands of a parked stream, in order.
func (t *Trouble) queue(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r, "after", "limit")
	if err != nil {
		return err
	}
	after, err := number(query, "after", 0, 1<<53)
	if err != nil {
		return err
	}
	limit, err := number(query, "limit", defaultPage, maxPage)
	if err != nil {
		return err
	}
	parked, stream, err := t.stream(r)
	if err != nil {
		return err
	}
	of, err := parked.Stream(stream)
	if err != nil {
		return problemOf(err)
	}
	page := struct {
		Stream   string    `json:"stream"`
		Parked   bool      `json:"parked"`
		Waiting  int       `json:"waiting"`
		Commands []waiting `json:"commands"`
		Next     int       `json:"next,omitempty"`
	}{of.Stream, of.Parked, of.Waiting, []waiting{}, 0}
	from := min(int(after), len(of.Deferred))
	to := min(len(of.Deferred), from+int(limit))
	for i := range of.Deferred[from:to] {
		page.Commands = append(page.Commands, waitingOf(&of.Deferred[from+i]))
	}
	if to < len(of.Deferred) && to > from {
		page.Next = to
	}
	web.WriteJSON(w, http.StatusOK, page)
	return nil
}

// stream returns the parked commands, and the stream in the path.
func (t *Trouble) stream(r *http.Request) (*operations.Parked, string, error) {
	stream, err := streamOf(t.Registry, r)
	if err != nil {
		return nil, "", err
	}
	parked, err := t.Parked(r.Context())
	return parked, stream, err
}

func (t *Trouble) requeue(w http.ResponseWriter, r *http.Request) error {
	if err := ReadJSON(w, r, new(struct{})); err != nil {
		return err
	}
	parked, stream, err := t.stream(r)
	if err != nil {
		return err
	}
	released, err := parked.Requeue(r.Context(), stream)
	return answerReleased(w, released, err)
}

func (t *Trouble) drop(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Command string `json:"command"`
	}
	if err := ReadJSON(w, r, &body); err != nil {
		return err
	}
	parked, stream, err := t.stream(r)
	if err != nil {
		return err
	}
	released, err := parked.Drop(r.Context(), stream, body.Command)
	return answerReleased(w, released, err)
}

// answerReleased answers with the outcome of a stream's first command.
func answerReleased(w http.ResponseWriter, r operations.Released, err error) error {
	if err != nil {
		return problemOf(err)
	}
	answer := struct {
		Command string `json:"command"`
		Type    string `json:"type"`
		Outcome string `json:"outcome"`
		Version uint64 `json:"version"`
		Problem string `json:"problem,omitempty"`
		Detail  string `json:"detail,omitempty"`
		Behind  int    `json:"behind"`
	}{Command: r.First.ID, Type: r.First.Type, Outcome: "succeeded", Version: r.Outcome.Version, Behind: r.Behind}
	switch {
	case r.Again():
		answer.Outcome = "parked"
	case r.Outcome.Refusal != nil:
		answer.Outcome, answer.Problem, answer.Detail = "refused", r.Outcome.Refusal.Slug, r.Outcome.Refusal.Detail
	}
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// letter is a dead letter in an answer. A letter of a list has no headers and no
// body.
type letter struct {
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      string `json:"time"`
	From      string `json:"from"`
	Key       string `json:"key"`
	Reason    string `json:"reason"`
	// Size is the number of bytes of the body, or of a message that was too large
	// for the dead letters; such a message has a Digest, and no body here.
	Size    int64             `json:"size"`
	Digest  string            `json:"digest,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Text    string            `json:"text,omitempty"`   // a body in UTF-8
	Base64  string            `json:"base64,omitempty"` // another body
}

func letterOf(d *kafka.DeadLetter) letter {
	l := letter{
		Partition: d.Partition, Offset: d.Offset, Time: eventlog.FormatTime(d.Time), From: d.From, Key: d.Key, Reason: d.Reason,
		Size: cmp.Or(d.Size, int64(len(d.Body))), Digest: d.Digest,
	}
	return l
}

// letters answers with a page of the dead letters, by partition and offset.
func (t *Trouble) letters(w http.ResponseWriter, r *http.Request) error {
	query, limit, err := pageOf(r)
	if err != nil {
		return err
	}
	after := kafka.Place{Partition: -1}
	if text := query.Get("after"); text != "" {
		partition, offset, _ := strings.Cut(text, "/")
		if after, err = placeOf(partition, offset); err != nil {
			return Invalid(web.FieldError{Parameter: "after", Detail: "must be PARTITION/OFFSET"})
		}
	}
	page := struct {
		Letters []letter `json:"letters"`
		Next    string   `json:"next,omitempty"`
	}{Letters: []letter{}}
	err = t.DeadLetters.Each(r.Context(), func(d kafka.DeadLetter) error {
		switch behind := cmp.Or(cmp.Compare(d.Partition, after.Partition), cmp.Compare(d.Offset, after.Offset)); {
		case behind <= 0:
			return nil
		case len(page.Letters) == int(limit):
			if limit > 0 {
				last := page.Letters[limit-1]
				page.Next = fmt.Sprintf("%d/%d", last.Partition, last.Offset)
			}
			return operations.ErrEnough
		}
		page.Letters = append(page.Letters, letterOf(&d))
		return nil
	})
	if err != nil {
		return problemOf(err)
	}
	web.WriteJSON(w, http.StatusOK, page)
	return nil
}

func placeOf(partition, offset string) (at kafka.Place, err error) {
	p, perr := strconv.ParseInt(partition, 10, 32)
	o, oerr := strconv.ParseInt(offset, 10, 64)
	if perr != nil || oerr != nil || p < 0 || o < 0 {
		return at, notFound("there is no such dead letter")
	}
	return kafka.Place{Partition: int32(p), Offset: o}, nil
}

// letter answers with a dead letter with headers and body.
func (t *Trouble) letter(w http.ResponseWriter, r *http.Request) error {
	at, err := placeOf(mux.Vars(r)["partition"], mux.Vars(r)["offset"])
	if err != nil {
		return err
	}
	d, err := t.DeadLetters.Find(r.Context(), at)
	if err != nil {
		return problemOf(err)
	}
	l := letterOf(&d)
	l.Headers = d.Headers
	if utf8.Valid(d.Body) {
		l.Text = string(d.Body)
	} else {
		l.Base64 = base64.StdEncoding.EncodeToString(d.Body)
	}
	web.WriteJSON(w, http.StatusOK, l)
	return nil
}

// dropLetter drops a dead letter and all earlier dead letters of the partition.
func (t *Trouble) dropLetter(w http.ResponseWriter, r *http.Request) error {
	if err := ReadJSON(w, r, new(struct{})); err != nil {
		return err
	}
	at, err := placeOf(mux.Vars(r)["partition"], mux.Vars(r)["offset"])
	if err != nil {
		return err
	}
	dropped, err := t.DeadLetters.Drop(r.Context(), at)
	if err != nil {
		return problemOf(err)
	}
	web.WriteJSON(w, http.StatusOK, map[string]int{"dropped": dropped})
	return nil
}
