package runner

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// maxJobs bounds the commands of a reaction in a partition that Kafka has not
// acknowledged.
const maxJobs = 1024

// job is a command that Kafka has not acknowledged.
type job struct {
	envelope eventlog.Envelope
	subject  string // the stream of the cause
	offset   int64  // of the cause
	failures int
}

// window is the commands on their way. Of each target stream, the first command
// alone is sent: behind a failed send, a later command would move the target's
// fence, and the failed command would be taken for a repetition.
type window struct {
	byTarget map[string][]*job
	size     int
	ready    []*job // to send now
	wake     chan struct{}
}

func newWindow() window {
	return window{byTarget: map[string][]*job{}, wake: make(chan struct{}, 1)}
}

// add adds a command behind the commands to the same stream.
func (w *window) add(j *job) {
	target := j.envelope.Stream
	w.byTarget[target] = append(w.byTarget[target], j)
	w.size++
	if len(w.byTarget[target]) == 1 {
		w.send(j)
	}
}

func (w *window) send(j *job) {
	w.ready = append(w.ready, j)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// done takes the first command of a target off.
func (w *window) done(target string) {
	w.size--
	rest := w.byTarget[target][1:]
	if len(rest) == 0 {
		delete(w.byTarget, target)
		return
	}
	w.byTarget[target] = rest
	w.send(rest[0])
}

// each calls found for each command that Kafka has not acknowledged.
func (w *window) each(found func(*job)) {
	for _, jobs := range w.byTarget {
		for _, j := range jobs {
			found(j)
		}
	}
}

// sendReady sends commands until the context ends.
func (r *run) sendReady(ctx context.Context) {
	for {
		r.mu.Lock()
		ready := r.window.ready
		r.window.ready = nil
		r.mu.Unlock()
		for _, j := range ready {
			r.Send(&j.envelope, func(_ eventlog.CommandPlace, err error) { r.sent(ctx, j, err) })
		}
		select {
		case <-r.window.wake:
		case <-ctx.Done():
			return
		}
	}
}

// sent takes the result of a send. A failed command is sent again, and the
// commands behind wait.
func (r *run) sent(ctx context.Context, j *job, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.window.done(j.envelope.Stream)
		r.change()
		return
	}
	j.failures++
	if j.failures%20 == patience {
		r.Logger.Warn("can't send a command of a reaction; trying again", "reaction", r.reaction.Name, "partition", r.partition, "stream", j.envelope.Stream, "error", err)
	}
	time.AfterFunc(pause(j.failures), func() {
		if ctx.Err() == nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.window.send(j)
		}
	})
}

// pause grows from 50 ms to 5 s.
func pause(failures int) time.Duration {
	return min(50*time.Millisecond<<min(failures, 10), 5*time.Second)
}
