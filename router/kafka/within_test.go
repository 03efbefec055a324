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
