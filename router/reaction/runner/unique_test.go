package runner

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// A command of a reaction may need a claim at any depth, so the router's own
// reaction begins anew.
func TestUnique(t *testing.T) {
	claim := aggregate.ClaimStream("email", "a@b")
	deep := &eventlog.Record{
		Stream: "user/1", CommandID: "c-1", Type: eventlog.TypeCommandClaiming, Asks: []string{claim},
		Origin: &eventlog.Origin{Reaction: "other", Depth: eventlog.MaxDepth},
	}
	reaction := Unique()
	r := &run{Runner: &Runner{Now: time.Now}, reaction: reaction}
	envelopes, err := r.ask(t.Context(), deep)
	if err != nil || len(envelopes) != 1 || envelopes[0].Stream != claim || envelopes[0].Type != "takeClaim" || r.depthOf(deep) != 1 {
		t.Fatalf("%+v, %v, depth %d", envelopes, err, r.depthOf(deep))
	}
	if want := `{"id":"` + claim[len("unique/"):] + `","stream":"user/1","commandId":"c-1"}`; string(envelopes[0].Body) != want {
		t.Errorf("got %s, want %s", envelopes[0].Body, want)
	}
	unreadable := errors.New("of a newer binary")
	if _, err := reaction.React(&eventlog.Record{Stream: "user/1", Unreadable: unreadable}); !errors.Is(err, unreadable) {
		t.Errorf("an unreadable record: %v", err)
	}
	if !reaction.FromBeginning || reaction.Name != "unique" {
		t.Errorf("%+v", reaction)
	}
}
