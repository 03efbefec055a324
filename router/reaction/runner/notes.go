package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

const (
	// noteEvery is the time between two notes of progress, while the reaction moves.
	// After a crash, the causes since the last note are answered again.
	noteEvery = time.Minute
	// notePatience bounds the wait for the outcome of a note.
	notePatience = 15 * time.Second
	// maxReason bounds the reason of a parked cause, in bytes, and maxStack its
	// stack.
	maxReason = 1 << 10
	maxStack  = 16 << 10
)

// patience is the number of failures before a line in the log: partitions of topic
// commands open a moment after the start.
const patience = 4

// errNothing says that there is nothing to note.
var errNothing = errors.New("nothing to note")

// note adds a record to the reaction's own stream, and waits until the record is
// folded, or refused because another process has written since. A process has
// one note on the way. The function command is called once it is the note's turn.
func (r *run) note(ctx context.Context, command func() aggregate.AnyCommand) error {
	r.mu.Lock()
	for r.noting {
		if err := r.wait(ctx); err != nil {
			r.mu.Unlock()
			return err
		}
	}
	c, version := command(), r.version
	if c == nil {
		r.mu.Unlock()
		return errNothing
	}
	r.noting = true
	r.mu.Unlock()
	err := r.sendNote(ctx, c, version)
	r.absorb()
	r.mu.Lock()
	r.noting = false
	r.change()
	r.mu.Unlock()
	return err
}

func (r *run) sendNote(ctx context.Context, c aggregate.AnyCommand, version uint64) error {
	ctx, cancel := context.WithTimeout(ctx, notePatience)
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	id := uuid.Must(uuid.NewV7()).String()
	r.Send(&eventlog.Envelope{
		ID: id, Hash: id, Type: c.Type(), Stream: r.stream, Time: r.now(), ExpectedVersion: &version, Body: decider.EncodeBody(c),
	}, func(_ eventlog.CommandPlace, err error) {
		if err != nil {
			fail(err)
		}
	})
	o, err := r.States.Await(ctx, r.stream, id)
	if err != nil {
		return fmt.Errorf("%s has no outcome: %w", c.Type(), context.Cause(ctx))
	}
	if o.Kind == decider.Parked || o.Kind == decider.Queued {
		return fmt.Errorf("%s waits in stream %s", c.Type(), r.stream)
	}
	return nil
}

func (r *run) now() time.Time { return r.Now().UTC().Truncate(time.Millisecond) }

// start waits until the reaction has a place in the partition. The place of a
// reaction that starts at the log's beginning is noted before its first command,
// and not before: without a record of the start, the place is the beginning.
func (r *run) start(ctx context.Context) error {
	for try := 1; ; try++ {
		r.mu.Lock()
		started := r.known.Started
		r.mu.Unlock()
		if started {
			return nil
		}
		next := int64(0)
		var err error
		if !r.reaction.FromBeginning {
			next, err = r.Log.End(ctx, r.partition)
		}
		if err == nil {
			err = r.note(ctx, func() aggregate.AnyCommand {
				if r.known.Started {
					return nil
				}
				return checkpoint.StartReaction{ID: r.id, TopicID: r.TopicID, Next: next}
			})
		}
		if err := r.retry(ctx, "can't start a reaction; trying again", try, err); err != nil {
			return err
		}
	}
}

// retry logs an error now and then, and pauses. The result is the context's
// error.
func (r *run) retry(ctx context.Context, what string, try int, err error) error {
	if err == nil || errors.Is(err, errNothing) || errors.Is(err, errMoved) {
		return ctx.Err()
	}
	if ctx.Err() == nil && try%20 == patience {
		r.Logger.Warn(what, "reaction", r.reaction.Name, "partition", r.partition, "error", err)
	}
	select {
	case <-time.After(pause(try)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// park parks a cause that the reaction fails at. At the limit of open streams,
// the reaction waits here until another stream is closed.
func (r *run) park(ctx context.Context, cause *eventlog.Record, why error) error {
	parked := checkpoint.ParkCause{
		ID: r.id, Stream: cause.Stream, Offset: cause.Offset,
		Reason: eventlog.Bounded(why.Error(), maxReason), Stack: eventlog.Bounded(stackOf(why), maxStack),
	}
	r.mu.Lock()
	full := !r.known.HasRoom(cause.Stream)
	if full {
		if !r.full {
			r.full = true
			r.Logger.Error("a reaction waits, because as many streams are parked as can be: retry or skip some", "reaction", r.reaction.Name, "partition", r.partition, "stream", cause.Stream, "offset", cause.Offset, "error", why)
		}
		err := r.wait(ctx)
		r.mu.Unlock()
		return err
	}
	r.full = false
	r.mu.Unlock()
	err := r.note(ctx, func() aggregate.AnyCommand { return parked })
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.known.Open[cause.Stream].Parked {
			r.Logger.Error("parked a stream in a reaction", "reaction", r.reaction.Name, "stream", cause.Stream, "partition", cause.Partition, "offset", cause.Offset, "seq", cause.Seq, "error", why)
		}
	}
	return err
}

// progress is a note of all that is answered: Kafka holds the commands.
func (r *run) progress() checkpoint.NoteProgress {
	n := checkpoint.NoteProgress{ID: r.id, Next: r.next}
	for stream, f := range r.going {
		if n.Going == nil {
			n.Going = map[string]int64{}
		}
		n.Going[stream] = min(f.next, r.next)
	}
	r.window.each(func(j *job) {
		if o := r.known.Open[j.subject]; r.going[j.subject] != nil && j.offset >= o.From {
			n.Going[j.subject] = min(n.Going[j.subject], j.offset)
		} else {
			n.Next = min(n.Next, j.offset)
		}
	})
	return n
}

// sparse is the number of records without commands after which a note of progress
// is worth its record.
const sparse = 10_000

// worth is a note of progress, nil if the note is not worth a record. With
// closing, only a note that closes a stream is worth it.
func (r *run) worth(closing bool) aggregate.AnyCommand {
	n := r.progress()
	if idle := r.answered < r.known.Next; !r.known.Started || !closing && idle && n.Next < r.known.Next+sparse {
		return nil
	}
	then := checkpoint.ReactionProgressed(n).Apply(r.known)
	closes := len(then.Open) < len(r.known.Open)
	if e, _ := n.Decide(r.known); e == nil || closing && !closes {
		return nil
	}
	return n
}

// noteProgress notes the progress: each minute, and at once where the note
// closes an open stream.
func (r *run) noteProgress(ctx context.Context) {
	tick := time.NewTicker(noteEvery)
	defer tick.Stop()
	for try, closing := 1, true; ; {
		switch err := r.note(ctx, func() aggregate.AnyCommand { return r.worth(closing) }); {
		case errors.Is(err, errNothing):
			try = 1
		default:
			if err == nil {
				try = 1
			}
			if r.retry(ctx, "can't note the progress of a reaction; trying again", try, err) != nil {
				return
			}
			try++
			continue
		}
		r.mu.Lock()
		changed := r.changed
		if len(r.going) == 0 {
			changed = r.opened
		}
		r.mu.Unlock()
		closing = true
		select {
		case <-changed:
		case <-tick.C:
			closing = false
		case <-ctx.Done():
			return
		}
	}
}
