package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"
)

// The faults.
const (
	kill      = "kill"
	restart   = "restart"
	freeze    = "freeze"
	latency   = "latency"
	blackHole = "black-hole"
	noAnswers = "no-answers" // one way: what is asked comes through
	noAsking  = "no-asking"  // one way: nothing that is asked comes through
	reset     = "reset"
)

var allFaults = []string{kill, restart, freeze, latency, blackHole, noAnswers, noAsking, reset}

// session is Kafka's session timeout of Millrace's consumers: who is silent
// for longer has lost its partitions and doesn't know it.
const session = 6 * time.Second

// fault is one that was.
type fault struct {
	Kind   string        `json:"kind"`
	Target string        `json:"target"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
}

// nemesis does harm, to processes and to links at the same time.
type nemesis struct {
	targets []*process
	clock   func() time.Duration
	say     func(string, ...any)

	mu     sync.Mutex
	faults []fault
	wrong  []string // what ended otherwise than it should
}

// run does so until the context ends, and mends all.
func (n *nemesis) run(ctx context.Context, kinds []string, seed uint64) {
	var lanes sync.WaitGroup
	for lane, of := range [][]string{{kill, restart, freeze}, {latency, blackHole, noAnswers, noAsking, reset}} {
		var chosen []string
		for _, kind := range kinds {
			if slices.Contains(of, kind) {
				chosen = append(chosen, kind)
			}
		}
		if len(chosen) == 0 {
			continue
		}
		rng := rand.New(rand.NewPCG(seed, uint64(lane)+1000))
		lanes.Go(func() {
			for pause(ctx, between(rng, 500*time.Millisecond, 3*time.Second)) {
				n.harm(ctx, chosen[rng.IntN(len(chosen))], rng)
			}
		})
	}
	lanes.Wait()
}

// harm does one fault and mends it. It chooses before it acts, so that a seed
// gives the same faults.
func (n *nemesis) harm(ctx context.Context, kind string, rng *rand.Rand) {
	p := n.targets[rng.IntN(len(n.targets))]
	short, long := between(rng, 0, 2*time.Second), between(rng, session+2*time.Second, 2*session+2*time.Second)
	l, to := p.link, "kafka"
	// A fault does most harm where much is under way: behind a slow link.
	busy := (kind == kill || kind == freeze) && l != nil && rng.IntN(2) == 0
	if !busy && p.store != nil && rng.IntN(2) == 0 {
		l, to = p.store, "postgres"
	}
	f := fault{Kind: kind, Target: p.name, From: n.clock()}
	switch kind {
	case kill, restart, freeze:
		n.say("%s %s%s", kind, p.name, map[bool]string{true: ", behind a slow link"}[busy])
	default:
		if l == nil {
			return // the broker has no link
		}
		f.Target = p.name + " to " + to
		n.say("%s %s", kind, f.Target)
	}
	var err error
	if busy {
		err = l.cut(latency)
		pause(ctx, time.Second)
	}
	switch kind {
	case kill:
		p.kill()
		pause(ctx, short)
		err = p.start()
	case restart:
		err = p.stop(30 * time.Second)
		pause(ctx, short)
		if again := p.start(); err == nil {
			err = again
		}
	case freeze:
		p.signal(syscall.SIGSTOP, false)
		pause(ctx, long)
		p.signal(syscall.SIGCONT, false)
	case reset:
		err = l.cut(kind)
		pause(ctx, short)
		l.mend(context.WithoutCancel(ctx))
	default:
		err = l.cut(kind)
		pause(ctx, long)
		l.mend(context.WithoutCancel(ctx))
	}
	if busy {
		l.mend(context.WithoutCancel(ctx))
	}
	f.To = n.clock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
	if err != nil {
		n.wrong = append(n.wrong, fmt.Sprintf("%s %s: %v", kind, f.Target, err))
	}
}

// pause waits, and says whether the context goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}
