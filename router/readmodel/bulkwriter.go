package readmodel

import (
	"context"
	"slices"

	"github.com/millrace/millrace/router/projection"
)

// bulkWriter writes the changes of a bulk, with the checkpoints of the fold.
// One transaction is under way while the fold goes on. The next transaction,
// and every lookup, waits for the one under way.
type bulkWriter struct {
	bulk    *bulk
	at      []Checkpoint // of the fold, by partition
	written []Checkpoint // the store's checkpoints after the transaction under way
	under   *transaction // the last transaction that began; nil before the first

	view   func(ctx context.Context, fn func(View) error) error
	update func(ctx context.Context, moves []Move, fn func(Tx) error) error
}

// newBulkWriter returns a writer for a bulk at these checkpoints. The caller
// sets view and update.
func newBulkWriter(b *bulk, at []Checkpoint) *bulkWriter {
	return &bulkWriter{bulk: b, at: at, written: slices.Clone(at)}
}

// move moves the checkpoints behind these records.
func (w *bulkWriter) move(entries []entry) {
	for i := range entries {
		to := &w.at[entries[i].Partition]
		to.Next, to.Digest = entries[i].Offset+1, entries[i].Digest
	}
}

// moves returns the moves from the store's checkpoints to the fold's.
func (w *bulkWriter) moves() (moves []Move) {
	for i, to := range w.at {
		if from := w.written[i]; to != from {
			moves = append(moves, Move{from, to})
		}
	}
	return moves
}

// transaction is a write under way, beside the fold.
type transaction struct {
	over chan struct{}
	err  error // valid once over is closed
}

// awaitWrite waits for the end of the transaction under way, and returns its
// error.
func (w *bulkWriter) awaitWrite() error {
	if w.under == nil {
		return nil
	}
	<-w.under.over
	return w.under.err
}

// write starts a transaction with all changes since the last transaction, and
// with the checkpoints of the fold. write first waits for the end of the
// transaction under way.
func (w *bulkWriter) write(ctx context.Context) error {
	if err := w.awaitWrite(); err != nil {
		return err
	}
	moves := w.moves()
	if len(moves) == 0 {
		return nil
	}
	changed, t := w.bulk.take(), &transaction{over: make(chan struct{})}
	copy(w.written, w.at)
	w.under = t
	go func() {
		defer close(t.over)
		changed.sort() // before the transaction, which others wait for
		t.err = w.update(ctx, moves, func(tx Tx) error { return changed.write(ctx, tx) })
	}()
	return nil
}

// Heads looks up heads, after the end of the transaction under way.
func (w *bulkWriter) Heads(ctx context.Context, streams []string) (heads map[string]StreamHead, err error) {
	err = w.look(ctx, func(v View) (err error) {
		heads, err = v.Heads(ctx, streams)
		return err
	})
	return heads, err
}

// Rows looks up rows, after the end of the transaction under way.
func (w *bulkWriter) Rows(ctx context.Context, table string, keys []projection.Row) (rows []projection.Row, err error) {
	err = w.look(ctx, func(v View) (err error) {
		rows, err = v.Rows(ctx, table, keys)
		return err
	})
	return rows, err
}

func (w *bulkWriter) look(ctx context.Context, fn func(View) error) error {
	if err := w.awaitWrite(); err != nil {
		return err
	}
	return w.view(ctx, fn)
}
