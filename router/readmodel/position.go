package readmodel

import "github.com/millrace/millrace/router/eventlog"

// PositionOf returns the position of checkpoints.
func PositionOf(checkpoints []Checkpoint) eventlog.Position {
	p := make(eventlog.Position, len(checkpoints))
	for _, c := range checkpoints {
		p[c.Partition] = c.Next
	}
	return p
}
