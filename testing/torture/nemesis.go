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

var (
	ofProcesses = []string{kill, restart, freeze}
	ofLinks     = []string{latency, blackHole, noAnswers, noAsking, reset}
	allFaults   = slices.Concat(ofProcesses, ofLinks)
	// partitionings are what a quota calls a partition.
	partitionings = []string{blackHole, noAnswers, noAsking}
)

// session is Kafka's session timeout of Millrace's consumers: who is silent
// for longer has lost its partitions and doesn't know it.
const session = 6 * time.Second

// recoverIn is how long all may take, from a fault's end, until every client has
// answers again.
const recoverIn = 90 * time.Second

// fault is one that was.
type fault struct {
	Kind   string        `json:"kind"`
	Role   string        `json:"role"`
	Target string        `json:"target"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
}

// nemesis does harm, to services, to servers and to links at the same time.
type nemesis struct {
	targets []*process
	kinds   []string
	quota   quota
	pace    time.Duration // from a fault's end to the next one's beginning, on average
	history *recorder
	clients int
	say     func(string, ...any)

	mu     sync.Mutex
	faults []fault
	wrong  []string // what ended otherwise than it should
}

// lane is harm that is done one after the other.
type lane struct {
	targets []*process
	kinds   []string
}

// lanes are those that have something to do.
func (n *nemesis) lanes() (all []lane) {
	var services, servers, linked lane
	for _, p := range n.targets {
		if p.role == broker || p.role == database {
			servers.targets = append(servers.targets, p)
		} else {
			services.targets = append(services.targets, p)
		}
		if len(p.links) > 0 {
			linked.targets = append(linked.targets, p)
		}
	}
	for _, kind := range n.kinds {
		if slices.Contains(ofProcesses, kind) {
			services.kinds, servers.kinds = append(services.kinds, kind), append(servers.kinds, kind)
		} else {
			linked.kinds = append(linked.kinds, kind)
		}
	}
	for _, l := range []lane{services, servers, linked} {
		if len(l.targets) > 0 && len(l.kinds) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// run does harm until the context ends or, with a quota, that is fulfilled, and
// mends all. A seed gives the same faults in the same order.
func (n *nemesis) run(ctx context.Context, seed uint64) {
	var lanes sync.WaitGroup
	for i, l := range n.lanes() {
		rng := rand.New(rand.NewPCG(seed, uint64(i)+1000))
		next := func() (harm, bool) {
			return harm{kind: l.kinds[rng.IntN(len(l.kinds))], target: l.targets[rng.IntN(len(l.targets))]}, true
		}
		if n.quota != nil {
			next = n.quota.of(l, rng)
		}
		lanes.Go(func() {
			for pause(ctx, between(rng, n.pace/4, n.pace*7/4)) {
				h, more := next()
				if !more {
					return
				}
				h.choose(rng)
				n.do(ctx, &h)
			}
		})
	}
	lanes.Wait()
}

// harm is a fault that is to be. All of it is chosen before it is done.
type harm struct {
	kind   string
	target *process
	link   *link
	on     int // of the link's ways
	busy   bool
	lasts  time.Duration
}

func (h *harm) choose(rng *rand.Rand) {
	short, long := between(rng, 0, 2*time.Second), between(rng, session+2*time.Second, 2*session+2*time.Second)
	// A fault does most harm where much is under way: behind a slow link.
	busy, other, on := rng.IntN(2) == 0, rng.IntN(2), rng.IntN(2*kafkaNodes)
	h.lasts, h.on = long, everywhere
	if h.kind == kill || h.kind == restart || h.kind == reset {
		h.lasts = short
	}
	links := h.target.links
	if len(links) == 0 {
		return
	}
	if slices.Contains(ofProcesses, h.kind) {
		h.link, h.busy = links[0], busy && h.kind != restart
		return
	}
	h.link = links[other%len(links)]
	if on < len(h.link.proxies) {
		h.on = on
	}
}

func (h *harm) String() string {
	switch {
	case slices.Contains(ofLinks, h.kind):
		way := ""
		if h.on != everywhere && len(h.link.proxies) > 1 {
			way = fmt.Sprintf(" %d", h.on+1)
		}
		return fmt.Sprintf("%s between %s and %s%s", h.kind, h.target.name, h.link.name, way)
	case h.busy:
		return fmt.Sprintf("%s %s, behind a slow link", h.kind, h.target.name)
	default:
		return fmt.Sprintf("%s %s", h.kind, h.target.name)
	}
}

// do does it, mends it, and waits until every client has had answers that it
// asked for later.
func (n *nemesis) do(ctx context.Context, h *harm) {
	n.say("%s", h)
	f := fault{Kind: h.kind, Role: h.target.role, Target: h.target.name, From: n.history.now()}
	p := h.target
	var err error
	if h.busy {
		err = h.link.cut(latency, everywhere)
		pause(ctx, time.Second)
	}
	switch h.kind {
	case kill:
		p.kill()
		pause(ctx, h.lasts)
		err = p.start()
	case restart:
		err = p.stop(time.Minute)
		pause(ctx, h.lasts)
		if again := p.start(); err == nil {
			err = again
		}
	case freeze:
		p.signal(syscall.SIGSTOP, false)
		pause(ctx, h.lasts)
		p.signal(syscall.SIGCONT, false)
	default:
		err = h.link.cut(h.kind, h.on)
		pause(ctx, h.lasts)
		h.link.mend(context.WithoutCancel(ctx))
	}
	if h.busy {
		h.link.mend(context.WithoutCancel(ctx))
	}
	f.To = n.history.now()
	if err == nil && ctx.Err() == nil {
		err = n.recovered(ctx, p, f.To)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
	if err != nil && ctx.Err() == nil {
		n.wrong = append(n.wrong, fmt.Sprintf("%s: %v", h, err))
	}
}

// recovered waits until a process is ready, and every client has been answered.
func (n *nemesis) recovered(ctx context.Context, p *process, since time.Duration) error {
	if err := p.waitUntilReady(ctx, recoverIn); err != nil {
		return err
	}
	return n.history.answered(ctx, n.clients, since, recoverIn)
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
	return from + time.Duration(rng.Int64N(max(int64(to-from), 1)))
}
