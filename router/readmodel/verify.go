package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// Verifier proves read models. Verifier folds the log from its start with the
// projection's own functions, exactly up to the checkpoints of the live read
// model, and compares all rows and heads. The engine may write meanwhile.
type Verifier struct {
	Live Store
	// Scratch is an empty store for the new fold.
	Scratch    Store
	Log        Log
	Events     projection.Decoder
	Partitions int32
	// Max is the largest number of differences, and of parked streams, that a
	// proof names.
	Max int
	// Progress, if not nil, is called with the number of folded records, and of
	// records to fold.
	Progress func(folded, all int64)
	// Compared, if not nil, is called for each read model with the number of compared
	// rows and heads; all is 0 meanwhile, because nobody knows the number of all. Then
	// Compared is called with the number of rows and heads in the digest, and of all.
	Compared func(done, all int64)

	comparedAtOnce int // 0 for the default
	knownAtOnce    int // 0 for the default
	models         int // that are proven at a time
	shadows        int
	done, all      atomic.Int64
}

// Proof is the result for a read model.
type Proof struct {
	Name        string
	Generation  int
	Checkpoints []Checkpoint
	// Records is the number of records of the log up to the checkpoints. The
	// gate accepted some of the records, and ignored others. Deferred are
	// records of parked streams, from the failed record on. Others are records
	// of aggregates outside the projection's Of.
	Records, Accepted, Ignored, Deferred, Others int64
	// Elsewhere are ignored records in other partitions than their streams'. A
	// log with such records proves nothing: the log may have been written with
	// another number of partitions.
	Elsewhere int64
	// Streams and Rows are the numbers of compared heads and rows.
	Streams, Rows int64
	// Digest is over all rows and heads that the log makes: the same for the
	// same log and checkpoints, in any store.
	Digest eventlog.Digest
	// Parked are the first parked streams, and ParkedStreams is their number.
	Parked        []ParkedProof
	ParkedStreams int64
	// Differences are the first differences between the read model and the log.
	// Differ is the number of rows, heads and checkpoints with a difference.
	Differences []Difference
	Differ      int64
	// Repaired are the first repaired differences. Mended is the number of
	// rows, heads and checkpoints with a repaired difference.
	Repaired []Difference
	Mended   int64
	Took     time.Duration
}

// ParkedProof is a parked stream. The stream's rows are compared with the rows
// before the failed record.
type ParkedProof struct {
	ParkedStream
	// Applies says that this binary can apply the failed record: [Retry] will
	// help.
	Applies bool
}

// errAnew asks for a new shadow.
var errAnew = errors.New("the read model went back, or parked streams were redone")

const (
	// nearEnough is the largest number of missing records at which a view is
	// opened.
	nearEnough = 10_000
	// comparedAtOnce is the number of rows that are compared in a view: less
	// than a second's.
	comparedAtOnce = 50_000
	// tries limits how often the verifier starts again, if the read model goes
	// back meanwhile.
	tries = 5
)

// Verify proves read models. With repair, Verify also corrects the differences,
// and then proves the read models again. A difference is no error: the proof
// reports differences.
func (v *Verifier) Verify(ctx context.Context, models []*projection.Projection, repair bool) ([]*Proof, error) {
	began := time.Now()
	v.models = len(models)
	shadows := make([]*shadow, 0, len(models))
	for _, p := range models {
		s, err := v.shadow(ctx, p)
		if err != nil {
			return nil, err
		}
		shadows = append(shadows, s)
	}
	if err := v.foldNear(ctx, shadows); err != nil {
		return nil, err
	}
	proofs := make([]*Proof, 0, len(models))
	for _, s := range shadows {
		proof, err := v.verify(ctx, s, repair)
		if err != nil {
			return nil, fmt.Errorf("read model %s: %w", s.live.Name, err)
		}
		proof.Took = time.Since(began)
		proofs = append(proofs, proof)
	}
	return proofs, nil
}

// foldNear folds shadows until they are near the checkpoints of the live read
// models, with all read models in the same passes over the log.
func (v *Verifier) foldNear(ctx context.Context, shadows []*shadow) error {
	for try := range tries {
		targets := make([]target, 0, len(shadows))
		missing := int64(0)
		for i, s := range shadows {
			var t target
			err := v.Live.View(ctx, s.live, func(live View) (err error) {
				t, _, err = v.target(ctx, s, live)
				return err
			})
			if errors.Is(err, errAnew) {
				if shadows[i], err = v.shadow(ctx, s.live); err == nil {
					err = errAnew
				}
			}
			if errors.Is(err, errAnew) {
				missing = nearEnough + 1 // one more pass, with all shadows
				continue
			}
			if err != nil {
				return fmt.Errorf("read model %s: %w", s.live.Name, err)
			}
			targets = append(targets, t)
			missing = max(missing, t.missing())
		}
		if missing == 0 || try > 0 && missing <= nearEnough {
			return nil
		}
		v.done.Store(0)
		v.all.Store(missing)
		v.folded(0)
		if err := v.refold(ctx, targets...); err != nil {
			return err
		}
		v.all.Store(v.done.Load()) // offsets without a record count as missing
		v.folded(0)
	}
	return nil
}

// target returns the checkpoints of a view of the live read model. A checkpoint
// past the log's end is returned as a difference.
func (v *Verifier) target(ctx context.Context, s *shadow, live View) (t target, wrong []Difference, err error) {
	if !live.Own() {
		return t, nil, fmt.Errorf("generation %d: %w", live.Generation(), ErrOtherDefinition)
	}
	checkpoints, err := live.Checkpoints(ctx)
	if err != nil {
		return t, nil, err
	}
	if len(checkpoints) != int(v.Partitions) {
		return t, nil, fmt.Errorf("it has checkpoints of %d partitions, and not of %d", len(checkpoints), v.Partitions)
	}
	t = target{s, slices.Clone(checkpoints)}
	for i := range t.to {
		end, err := v.Log.End(ctx, t.to[i].Partition)
		if err != nil {
			return t, nil, err
		}
		if t.to[i].Next > end {
			wrong = append(wrong, Difference{Table: tableOfCheckpoints, Key: projection.Row{int64(i)}, Column: "next_offset", Live: t.to[i].Next, Log: end})
			t.to[i].Next = end
		}
	}
	parked, err := parkedIn(ctx, live, v.Partitions)
	if err != nil {
		return t, nil, err
	}
	if !s.follows(t.to, parked) {
		return t, nil, errAnew
	}
	return t, wrong, nil
}

// missing returns the number of records to fold.
func (t target) missing() (n int64) {
	for i := range t.to {
		n += t.to[i].Next - t.at[i].Next
	}
	return n
}

func (v *Verifier) folded(n int) {
	if done := v.done.Add(int64(n)); v.Progress != nil {
		v.Progress(done, max(done, v.all.Load()))
	}
}

func (v *Verifier) compared(done, all int64) {
	if v.Compared != nil {
		v.Compared(done, all)
	}
}

// verify proves one read model. With repair, verify corrects differences until
// the read model is proven.
func (v *Verifier) verify(ctx context.Context, s *shadow, repair bool) (proof *Proof, err error) {
	var mended mends
	for range tries {
		proof, err = v.prove(ctx, s)
		if err == nil {
			proof.Repaired, proof.Mended = mended.first, mended.n
			if proof.Differ == 0 || !repair {
				return proof, v.tryParked(ctx, s, proof)
			}
			err = v.repair(ctx, s, &mended)
		}
		if errors.Is(err, errAnew) {
			s, err = v.anew(ctx, s)
		}
		if err != nil {
			return nil, err
		}
	}
	if proof == nil {
		err = errors.New("it changes faster than it can be verified")
	}
	return proof, err
}

func (v *Verifier) anew(ctx context.Context, s *shadow) (*shadow, error) {
	s, err := v.shadow(ctx, s.live)
	if err != nil {
		return nil, err
	}
	shadows := []*shadow{s}
	err = v.foldNear(ctx, shadows)
	return shadows[0], err
}

// prove compares a read model with its shadow. Each view lasts for some rows
// only, because SQLite's WAL grows while a view is open; the shadow is folded up
// to the checkpoints of each view.
func (v *Verifier) prove(ctx context.Context, s *shadow) (*Proof, error) {
	proof, at := &Proof{Name: s.live.Name}, &compared{tell: func(n int64) { v.compared(n, 0) }}
	for paused := true; paused; {
		err := v.Live.View(ctx, s.live, func(live View) error { return v.proveSome(ctx, s, live, at, proof) })
		if paused = errors.Is(err, errPause); err != nil && !paused {
			return nil, err
		}
	}
	proof.Deferred, proof.Others, proof.Elsewhere = s.deferred, s.others, s.elsewhere
	for _, c := range s.at {
		proof.Records += c.Next
	}
	err := v.sum(ctx, s, proof, at.n)
	proof.Ignored = proof.Records - proof.Accepted - proof.Deferred - proof.Others
	return proof, err
}

// proveSome compares some rows in a view.
func (v *Verifier) proveSome(ctx context.Context, s *shadow, live View, at *compared, proof *Proof) error {
	if proof.Generation == 0 {
		proof.Generation = live.Generation()
	}
	if proof.Generation != live.Generation() {
		return errAnew
	}
	t, wrong, err := v.target(ctx, s, live)
	if err != nil {
		return err
	}
	if proof.Checkpoints, err = live.Checkpoints(ctx); err != nil {
		return err
	}
	if err := v.refold(ctx, t); err != nil {
		return err
	}
	at.left = v.atOnce()
	err = v.compare(ctx, s, live, at, func(c change) error {
		proof.differs(v.Max, c.differences()...)
		return nil
	})
	if err != nil {
		return err
	}
	for _, d := range append(wrong, t.otherDigests(proof.Checkpoints)...) {
		proof.differs(v.Max, d)
	}
	return v.noteParked(ctx, live, proof)
}

func (v *Verifier) atOnce() int {
	if v.comparedAtOnce > 0 {
		return v.comparedAtOnce
	}
	return comparedAtOnce
}

func (v *Verifier) noteParked(ctx context.Context, live View, proof *Proof) error {
	parked, err := parkedIn(ctx, live, v.Partitions)
	proof.Parked, proof.ParkedStreams = nil, int64(len(parked))
	for _, stream := range parked[:min(len(parked), v.Max)] {
		proof.Parked = append(proof.Parked, ParkedProof{ParkedStream: stream})
	}
	return err
}

// otherDigests returns the checkpoints whose digest differs from the log's.
func (t target) otherDigests(live []Checkpoint) (wrong []Difference) {
	for i, c := range live {
		if c.Next == t.at[i].Next && c.Digest != t.at[i].Digest {
			wrong = append(wrong, Difference{Table: tableOfCheckpoints, Key: projection.Row{int64(i)}, Column: "digest", Live: c.Digest.String(), Log: t.at[i].Digest.String()})
		}
	}
	return wrong
}

// differs notes the differences of a row, head or checkpoint.
func (p *Proof) differs(most int, differences ...Difference) {
	p.Differ++
	p.Differences = appendUpTo(most, p.Differences, differences...)
}

func appendUpTo[T any](most int, list []T, more ...T) []T {
	return append(list, more[:max(0, min(len(more), most-len(list)))]...)
}

// tryParked notes which parked streams this binary could apply. The shadow is
// spent then.
func (v *Verifier) tryParked(ctx context.Context, s *shadow, proof *Proof) error {
	if len(proof.Parked) == 0 {
		return nil
	}
	streams := make([]ParkedStream, 0, len(proof.Parked))
	for _, parked := range proof.Parked {
		streams = append(streams, parked.ParkedStream)
	}
	s.parked = nil
	now, err := Retry(ctx, v.Scratch, v.Log, v.Events, s.copy, streams, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for _, stream := range now {
		for i := range proof.Parked {
			if proof.Parked[i].Stream == stream.Stream {
				proof.Parked[i].Applies = stream.Parked == "" || stream.ParkedOffset > proof.Parked[i].ParkedOffset
			}
		}
	}
	return nil
}
