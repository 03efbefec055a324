package projections

import "github.com/millrace/millrace/messaging"

// PositionOf is the position that these checkpoints have reached.
func PositionOf(checkpoints []Checkpoint) messaging.Position {
	p := make(messaging.Position, len(checkpoints))
	for _, c := range checkpoints {
		p[c.Partition] = c.Next
	}
	return p
}
