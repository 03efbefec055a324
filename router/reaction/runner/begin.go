package runner

import (
	"context"
	"errors"
	"sync"
	"time"
)

// beginPatience bounds the wait for the places of new reactions: a command service
// has other work too, and the notes may be for another process to decide.
const beginPatience = 30 * time.Second

// Begin gives each new reaction that begins at the log's end its place, in all
// partitions, whoever runs the reaction there. A client that waits until the command
// service is ready misses no answer. The channel is closed once all places are
// noted, or after half a minute.
func (r *Runner) Begin(ctx context.Context) (ended <-chan struct{}) {
	begun := make(chan struct{})
	r.mu.Lock()
	r.begun = begun
	r.mu.Unlock()
	go func() {
		defer close(begun)
		bounded, cancel := context.WithTimeout(ctx, beginPatience)
		defer cancel()
		var all sync.WaitGroup
		for _, reaction := range r.Reactions {
			if !reaction.FromBeginning {
				all.Go(func() { r.beginAtEnd(bounded, reaction) })
			}
		}
		all.Wait()
		if ctx.Err() == nil && bounded.Err() != nil {
			r.Logger.Warn("a new reaction has no place in some partitions yet, and won't answer what comes until then")
		}
	}()
	return begun
}

var errNotBegun = errors.New("a new reaction has no place in the log yet")

// Ready returns an error until [Runner.Begin] has ended.
func (r *Runner) Ready() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.begun:
		return nil
	default:
		return errNotBegun
	}
}

// awaitBegin waits for the end of [Runner.Begin], if Begin was called.
func (r *Runner) awaitBegin(ctx context.Context) {
	r.mu.Lock()
	begun := r.begun
	r.mu.Unlock()
	if begun == nil {
		return
	}
	select {
	case <-begun:
	case <-ctx.Done():
	}
}

// beginAtEnd gives a reaction its place in all partitions.
func (r *Runner) beginAtEnd(ctx context.Context, reaction Reaction) {
	if err := newRun(r, reaction, 0).checkTopic(ctx); err != nil {
		if ctx.Err() == nil && !errors.Is(err, errSaid) {
			r.Logger.Error(cantGoOn, "reaction", reaction.Name, "error", err)
		}
		return
	}
	var all sync.WaitGroup
	for partition := range r.Partitions {
		all.Go(func() { newRun(r, reaction, partition).startOnly(ctx) })
	}
	all.Wait()
}

// startOnly notes the reaction's place, and answers nothing.
func (r *run) startOnly(ctx context.Context) {
	r.reading, r.stopRead = context.WithCancel(ctx)
	defer r.stopRead()
	r.ending = true
	defer r.States.Follow(r.stream, r.tell)()
	r.absorb()
	_ = r.start(r.reading) // the run of the partition's assignment tries again, and says what is wrong
}
