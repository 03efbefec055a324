package readmodel

import (
	"testing"

	"github.com/millrace/millrace/router/eventlog"
)

func TestPositionOfCheckpoints(t *testing.T) {
	got := eventlog.EncodePosition(PositionOf([]Checkpoint{{Partition: 2, Next: 3}, {Partition: 0, Next: 1}, {Partition: 1}}))
	if want := eventlog.EncodePosition(eventlog.Position{0: 1, 2: 3}); got != want {
		t.Errorf("got %s, want %s: a partition at 0 is the same as none, and order is nothing", got, want)
	}
}
