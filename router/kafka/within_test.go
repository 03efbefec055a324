package kafka

import (
	"context"
	"errors"
	"testing"
)

// An answer that comes after the context's end reaches nobody. The race detector
// watches the two writers of the answer.
func TestAnswersAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked, answer, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		<-asked
		cancel()
	}()
	got, err := answerWithin(ctx, func() (string, error) {
		defer close(answered)
		close(asked)
		<-answer
		return "too late", nil
	})
	close(answer)
	<-answered
	if got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q and %v, want no answer and the context's error", got, err)
	}
}

// closer tells when it is closed.
type closer chan struct{}

func (c closer) Close() error { close(c); return nil }

// Nobody else closes what opens after the context's end.
func TestOpenedAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	opened, open := make(closer), make(chan struct{})
	go cancel()
	if _, err := openWithin(ctx, func() (closer, error) { <-open; return opened, nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(open)
	receive(t, opened, "it to be closed")

	kept, err := openWithin(t.Context(), func() (closer, error) { return make(closer), nil })
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-kept:
		t.Error("closed, although the caller has it")
	default:
	}
}
