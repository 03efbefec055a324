package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/web"
)

// parkedCause is a stream that is parked in a reaction, or goes on, in an answer.
type parkedCause struct {
	Reaction string `json:"reaction"`
	Stream   string `json:"stream"`
	Offset   int64  `json:"offset"`
	Parked   bool   `json:"parked"`
	Reason   string `json:"reason,omitempty"`
}

// causes answers with the streams that are parked in reactions, or go on there.
func (t *Trouble) causes(w http.ResponseWriter, r *http.Request) error {
	answer := struct {
		Reactions []string      `json:"reactions"`
		Streams   []parkedCause `json:"streams"`
	}{append([]string{}, t.Reactions...), []parkedCause{}}
	if len(t.Reactions) > 0 {
		reactions, err := t.reactions(r.Context())
		if err != nil {
			return err
		}
		for _, c := range reactions.List(t.Reactions) {
			answer.Streams = append(answer.Streams, parkedCause(c))
		}
	}
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

func (t *Trouble) reactions(ctx context.Context) (*operations.Reactions, error) {
	parked, err := t.Parked(ctx)
	if err != nil {
		return nil, err
	}
	return &operations.Reactions{Parked: *parked, Partitions: t.Partitions}, nil
}

func (t *Trouble) retryCause(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Stream string `json:"stream"`
	}
	if err := ReadJSON(w, r, &body); err != nil {
		return err
	}
	return t.goOn(w, r, body.Stream, func(ctx context.Context, of *operations.Reactions, reaction string) (*operations.ParkedCause, error) {
		return of.Retry(ctx, reaction, body.Stream)
	})
}

func (t *Trouble) skipCause(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Stream string `json:"stream"`
		Offset int64  `json:"offset"`
	}
	if err := ReadJSON(w, r, &body); err != nil {
		return err
	}
	return t.goOn(w, r, body.Stream, func(ctx context.Context, of *operations.Reactions, reaction string) (*operations.ParkedCause, error) {
		return of.Skip(ctx, reaction, body.Stream, body.Offset)
	})
}

// goOn lets a stream go on in the reaction of the path, and answers whether the
// stream is parked again.
func (t *Trouble) goOn(w http.ResponseWriter, r *http.Request, stream string,
	do func(ctx context.Context, of *operations.Reactions, reaction string) (*operations.ParkedCause, error),
) error {
	name := mux.Vars(r)["reaction"]
	if !slices.Contains(t.Reactions, name) {
		return notFound(fmt.Sprintf("there is no reaction %q", name))
	}
	if stream == "" {
		return Invalid(web.FieldError{Pointer: "/stream", Detail: "is required"})
	}
	of, err := t.reactions(r.Context())
	if err != nil {
		return err
	}
	again, err := do(r.Context(), of, name)
	if err != nil {
		return problemOf(err)
	}
	answer := parkedCause{Reaction: name, Stream: stream}
	if again != nil {
		answer = parkedCause(*again)
	}
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}
