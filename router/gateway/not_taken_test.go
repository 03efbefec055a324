package gateway

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
)

// A send that has not begun is no riddle: the client hears that the command was
// not taken. After any other failure, nobody knows.
func TestNotTaken(t *testing.T) {
	for _, c := range []struct {
		err    error
		detail string
	}{
		{fmt.Errorf("kafka has not been reached yet: %w", eventlog.ErrNotTaken), "the command was not taken; send it again"},
		{fmt.Errorf("timed out"), "it is not known whether the command was taken; it is safe to send it again with this id"},
	} {
		got := ask(t, newGateway(func(*eventlog.Envelope) error { return c.err }), "/commands", alice)
		if got.Status != http.StatusServiceUnavailable || got.Body.Detail != c.detail || got.Body.ID == nil {
			t.Errorf("%v: got %d %+v, want %s", c.err, got.Status, got.Body, c.detail)
		}
	}
}
