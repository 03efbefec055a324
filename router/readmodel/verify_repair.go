package readmodel

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/router/projection"
)

// mends are repaired differences: the number of rows, heads and checkpoints,
// and the first differences.
type mends struct {
	n     int64
	first []Difference
}

// mendedAtOnce is the largest number of changes in a transaction of a repair.
const mendedAtOnce = 50_000

var errEnough = errors.New("enough for one transaction")

// repair writes the log's values over the differing values of a read model, and
// nothing else. Updates wait from the comparison to the commit.
func (v *Verifier) repair(ctx context.Context, s *shadow, mended *mends) error {
	for {
		var done mends
		more := false
		err := v.Live.Hold(ctx, s.live, func(tx Tx, live View) error {
			t, wrong, err := v.target(ctx, s, live)
			if err != nil {
				return err
			}
			if t.missing() > nearEnough {
				return errFurther
			}
			if err := v.refold(ctx, t); err != nil {
				return err
			}
			checkpoints, err := live.Checkpoints(ctx)
			if err != nil {
				return err
			}
			wrong = append(wrong, t.otherDigests(checkpoints)...)
			for _, d := range wrong {
				partition, _ := d.Key[0].(int64)
				at := checkpoints[partition]
				at.Next, at.Digest = s.at[partition].Next, s.at[partition].Digest
				if err := tx.PutCheckpoint(ctx, at); err != nil {
					return err
				}
				done.add(v.Max, d)
			}
			var changes []change
			err = v.compare(ctx, s, live, &compared{left: math.MaxInt}, func(c change) error {
				if len(changes) == mendedAtOnce {
					return errEnough
				}
				done.add(v.Max, c.differences()...)
				changes = append(changes, c)
				return nil
			})
			if more = errors.Is(err, errEnough); err != nil && !more {
				return err
			}
			return mend(ctx, tx, changes)
		})
		if errors.Is(err, errFurther) {
			return nil // the caller folds the missing records without a hold, and comes again
		}
		if err != nil {
			return err
		}
		mended.n += done.n
		mended.first = appendUpTo(v.Max, mended.first, done.first...)
		if !more {
			return nil
		}
	}
}

func (m *mends) add(most int, differences ...Difference) {
	m.n++
	m.first = appendUpTo(most, m.first, differences...)
}

// mend writes the log's values of rows and heads.
func mend(ctx context.Context, tx Tx, changes []change) error {
	put, remove := map[string][]projection.Row{}, map[string][]projection.Row{}
	heads := map[string]StreamHead{}
	var extra []string
	for _, c := range changes {
		switch {
		case c.isHead && c.log == nil:
			extra = append(extra, c.stream)
		case c.isHead:
			if c.live != nil && c.liveHead.Parked == "" && c.logHead.Parked != "" && c.liveHead.Seq > c.logHead.Seq {
				return fmt.Errorf("stream %s: the read model has it up to record %d, and this binary can't apply record %d (%s): repair it with the query service's binary",
					c.stream, c.liveHead.Seq, c.logHead.Seq+1, c.logHead.Parked)
			}
			heads[c.stream] = c.logHead
		case c.log == nil:
			remove[c.table] = append(remove[c.table], c.key)
		default:
			put[c.table] = append(put[c.table], c.log)
		}
	}
	for table, rows := range put {
		if err := tx.Put(ctx, table, rows); err != nil {
			return err
		}
	}
	for table, keys := range remove {
		if err := tx.Delete(ctx, table, keys); err != nil {
			return err
		}
	}
	if err := tx.PutHeads(ctx, heads); err != nil {
		return err
	}
	return tx.DeleteHeads(ctx, extra)
}
