package readmodel

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
)

// checkOrigin returns an error unless the log still has the record before a
// checkpoint, with the checkpoint's digest. Otherwise the log has lost its
// tail, was trimmed, or was created anew.
func checkOrigin(ctx context.Context, log Log, p *projection.Projection, at Checkpoint) error {
	if at.Next == 0 {
		return nil
	}
	end, err := log.End(ctx, at.Partition)
	if err != nil {
		return err
	}
	last := at.Next - 1
	if at.Next > end {
		return fmt.Errorf("read model %s has the log up to offset %d of partition %d, and the log ends at %d: it lost its tail or was made anew; %w", p.Name, last, at.Partition, end, ErrOtherLog)
	}
	record, err := log.At(ctx, at.Partition, last)
	if errors.Is(err, kafka.ErrOffsetGone) {
		return fmt.Errorf("read model %s has the log up to offset %d of partition %d, and that record isn't in the log any more: it was trimmed or made anew; %w", p.Name, last, at.Partition, ErrOtherLog)
	}
	if err != nil {
		return err
	}
	if record.Digest != at.Digest {
		return fmt.Errorf("read model %s was made of another log: the record at offset %d of partition %d has another digest; %w", p.Name, last, at.Partition, ErrOtherLog)
	}
	return nil
}

// ErrOtherLog is returned if a read model was made of a log that is not this
// log, or not this log any more.
var ErrOtherLog = errors.New("to go on with this log: stop, delete the store " +
	"(SQLite: the file read.db; PostgreSQL: the tables) or give this log a store of its own, and start; the log fills it")

// CheckOrigin returns an [ErrOtherLog] if a read model was not made of this log.
func CheckOrigin(ctx context.Context, log Log, p *projection.Projection, checkpoints []Checkpoint) error {
	for _, at := range checkpoints {
		if err := checkOrigin(ctx, log, p, at); err != nil {
			return err
		}
	}
	return nil
}
