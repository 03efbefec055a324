package operations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// DeadLetters works on the messages that nobody can decode.
type DeadLetters struct{ Kafka *kafka.Kafka }

// ErrEnough ends a read of dead letters without an error.
var ErrEnough = errors.New("enough")

// Each calls fn for each dead letter, by partition and offset, up to the topic's
// present end. Each ends at the first error of fn, and waits for Kafka as long
// as dead letters come.
func (d *DeadLetters) Each(ctx context.Context, fn func(kafka.DeadLetter) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(Timeout, func() { cancel(ErrNoAnswer) })
	defer patience.Stop()
	err := d.Kafka.ReadDeadLetters(ctx, func(letter kafka.DeadLetter) error {
		patience.Reset(Timeout)
		return fn(letter)
	})
	switch {
	case errors.Is(err, ErrEnough):
		return nil
	case errors.Is(context.Cause(ctx), ErrNoAnswer):
		return ErrNoAnswer
	}
	return err
}

// Find returns the dead letter at a place.
func (d *DeadLetters) Find(ctx context.Context, at kafka.Place) (found kafka.DeadLetter, err error) {
	missing := true
	err = d.Each(ctx, func(letter kafka.DeadLetter) error {
		if letter.Place != at {
			return nil
		}
		found, missing = letter, false
		return ErrEnough
	})
	if err == nil && missing {
		err = noLetter(at)
	}
	return found, err
}

func noLetter(at kafka.Place) error {
	return notFound(fmt.Sprintf("there is no dead letter %d/%d", at.Partition, at.Offset))
}

// Drop drops a dead letter and all earlier dead letters of the partition, and
// returns their number.
func (d *DeadLetters) Drop(ctx context.Context, at kafka.Place) (dropped int, err error) {
	missing := true
	err = d.Each(ctx, func(letter kafka.DeadLetter) error {
		if letter.Partition == at.Partition && letter.Offset <= at.Offset {
			dropped++
		}
		if letter.Place == at {
			missing = false
			return ErrEnough
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if missing {
		return 0, noLetter(at)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, Timeout, ErrNoAnswer)
	defer cancel()
	if err := d.Kafka.DropDeadLetters(ctx, at); err != nil {
		if errors.Is(context.Cause(ctx), ErrNoAnswer) {
			err = ErrNoAnswer
		}
		return 0, err
	}
	return dropped, nil
}
