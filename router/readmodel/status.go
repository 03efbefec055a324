package readmodel

import (
	"context"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// Status is the state of a read model.
type Status struct {
	Name       string            `json:"name"`
	Generation int               `json:"generation"`
	Partitions []PartitionStatus `json:"partitions"`
	// Lag is the number of records of the log that are not folded yet, nil if
	// unknown.
	Lag    *int64       `json:"lag,omitempty"`
	Parked ParkedStatus `json:"parked"`
	// Stale says that streams are parked: answers about these streams are old.
	Stale bool `json:"stale"`
}

// PartitionStatus is the progress of a partition. Checkpoint is the offset of
// the first record that is not folded yet.
type PartitionStatus struct {
	Partition  int32  `json:"partition"`
	Checkpoint int64  `json:"checkpoint"`
	Lag        *int64 `json:"lag,omitempty"`
}

// ParkedStatus is the number of parked streams, and the first of the streams.
type ParkedStatus struct {
	Count int           `json:"count"`
	First []ParkedBrief `json:"first"`
}

// ParkedBrief is a parked stream, with the first line of the reason.
type ParkedBrief struct {
	Stream  string `json:"stream"`
	Version uint64 `json:"version"`
	Offset  int64  `json:"offset"`
	Reason  string `json:"reason"`
}

// parkedShown is the number of parked streams in a status.
const parkedShown = 5

// StatusOf returns the state of a read model. Ends are the end offsets of the
// log's partitions, nil if unknown.
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
