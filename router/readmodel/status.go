package readmodel

import (
	"context"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// Status is how a read model stands.
type Status struct {
	Name       string            `json:"name"`
	Generation int               `json:"generation"`
	Partitions []PartitionStatus `json:"partitions"`
	// Lag is how many records of the log are not in, nil if nobody knows.
	Lag    *int64       `json:"lag,omitempty"`
	Parked ParkedStatus `json:"parked"`
	// Stale says that some streams are parked, and answers about them old.
	Stale bool `json:"stale"`
}

// PartitionStatus is how far a partition of the log is folded: Checkpoint is
// the offset of the first record that is not in.
type PartitionStatus struct {
	Partition  int32  `json:"partition"`
	Checkpoint int64  `json:"checkpoint"`
	Lag        *int64 `json:"lag,omitempty"`
}

// ParkedStatus tells how many streams are parked, and names the first.
type ParkedStatus struct {
	Count int           `json:"count"`
	First []ParkedBrief `json:"first"`
}

// ParkedBrief is a parked stream, and the first line of why.
type ParkedBrief struct {
	Stream  string `json:"stream"`
	Version uint64 `json:"version"`
	Offset  int64  `json:"offset"`
	Reason  string `json:"reason"`
}

// parkedShown is how many parked streams a status names.
const parkedShown = 5

// StatusOf tells how a read model stands. Ends are where the partitions of the
// log end, nil if nobody knows.
func StatusOf(ctx context.Context, store Store, p *projection.Projection, ends []int64) (status Status, err error) {
	err = store.View(ctx, p, func(v View) error {
		status = Status{Name: p.Name, Generation: v.Generation(), Parked: ParkedStatus{First: []ParkedBrief{}}}
		checkpoints, err := v.Checkpoints(ctx)
		if err != nil {
			return err
		}
		for _, c := range checkpoints {
			status.add(c, ends)
		}
		return v.EachParked(ctx, func(stream string, head StreamHead) error {
			status.Stale = true
			if status.Parked.Count++; status.Parked.Count <= parkedShown {
				reason, _, _ := strings.Cut(head.Parked, "\n")
				status.Parked.First = append(status.Parked.First, ParkedBrief{stream, head.Version, head.ParkedOffset, reason})
			}
			return nil
		})
	})
	return status, err
}

func (s *Status) add(c Checkpoint, ends []int64) {
	at := PartitionStatus{Partition: c.Partition, Checkpoint: c.Next}
	if int(c.Partition) < len(ends) {
		lag := max(0, ends[c.Partition]-c.Next)
		at.Lag = &lag
		if s.Lag == nil {
			s.Lag = new(int64)
		}
		*s.Lag += lag
	}
	s.Partitions = append(s.Partitions, at)
}
