package console

import (
	"net/http"
	"testing"
)

// A stream that is parked in a reaction is retried, is parked again, and goes on
// once the fault is mended; or an operator skips the record.
func TestParkedInReactions(t *testing.T) {
	t.Parallel()
	s := startTroubled(t)
	w := open(t, s.Service, "#/trouble", wide)
	w.shows("No stream is parked in a reaction.")
	s.begin(speechless)
	for _, id := range []string{"1", hostile} {
		s.send(http.StatusOK, "createUser", id, "Alice")
		s.send(http.StatusOK, "renameUser", id, "Away")
	}
	w.wait("both are parked", `(() => {
		[...document.querySelectorAll('button')].find((e) => e.textContent === 'Refresh')?.click();
		return document.querySelectorAll('[aria-label^="Retry "]').length === 2;
	})()`)
	w.shows("no words for")
	w.harmless()
	w.shot("parked-in-reactions-wide")
	w.accessible()

	w.click("button[aria-label=\"Retry user/1 in greeting\"]", "")
	w.shows("user/1 is parked again: no words for")
	w.click("button[aria-label^=\"Skip a record of user/<\"]", "")
	w.click("dialog button", "Skip the record")
	w.shows("Reaction greeting has answered all records of user/<img")
	s.end(speechless)
	w.click("button[aria-label=\"Retry user/1 in greeting\"]", "")
	w.shows("Reaction greeting has answered all records of user/1.")
	w.shows("No stream is parked in a reaction.")
	w.harmless()
	w.visit("#/streams/user/1")
	w.shows("Come back")
	w.shot("reaction-answered-wide")

	n := open(t, s.Service, "#/trouble", narrow)
	n.shows("No stream is parked in a reaction.")
	n.accessible()
}
