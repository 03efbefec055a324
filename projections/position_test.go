package projections

import (
	"testing"

	"github.com/millrace/millrace/messaging"
)

func TestPositionOfCheckpoints(t *testing.T) {
	got := messaging.EncodePosition(PositionOf([]Checkpoint{{Partition: 2, Next: 3}, {Partition: 0, Next: 1}, {Partition: 1}}))
	if want := messaging.EncodePosition(messaging.Position{0: 1, 2: 3}); got != want {
		t.Errorf("got %s, want %s: a partition at 0 is the same as none, and order is nothing", got, want)
	}
}
