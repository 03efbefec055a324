package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
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
	forget    = "forget"    // kill all processes of the role, and delete their groups with all offsets
	noLeader  = "no-leader" // a partition of topic commands has no leader for a while, then kill
	latency   = "latency"
	blackHole = "black-hole"
	noAnswers = "no-answers" // requests come through
	noAsking  = "no-asking"  // answers come through
	reset     = "reset"
)

var (
	ofProcesses = []string{kill, restart, freeze, forget, noLeader}
	ofLinks     = []string{latency, blackHole, noAnswers, noAsking, reset}
	allFaults   = slices.Concat(ofProcesses, ofLinks, ofBrokers)
	// partitionings are the faults that count for partition in a quota.
	partitionings = []string{blackHole, noAnswers, noAsking}
)

// session is the session timeout of Millrace's consumer groups. A member that is
// silent for longer loses its partitions without knowing.
const session = 6 * time.Second

// recoverIn is the longest time from the end of a fault until every client has
// answers again.
const recoverIn = 90 * time.Second

// fault is a fault that is over.
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
	spares  bool          // a process of each role, and the servers, live all the time
	history *recorder
	samples samples
	clients int
	say     func(string, ...any)

	mu     sync.Mutex
	faults []fault
	wrong  []string // recoveries that failed
}

// lane has all kinds of harm of a place. A lane does one harm after the other.
type lane []harm

// lanes are the lanes with work: for services, for servers and for links.
func (n *nemesis) lanes() []lane {
	all := make([]lane, 3)
	for _, kind := range n.kinds {
		first := map[string]bool{}
		for _, p := range n.targets {
			h := harm{kind: kind, target: p}
			spared := n.spares && h.ends() && !first[p.role]
			first[p.role] = true
			if spared || !h.can() {
				continue
			}
			i := 0
			if slices.Contains(ofLinks, kind) {
				i = 2
			} else if p.role == broker || p.role == database {
				i = 1
			}
			all[i] = append(all[i], h)
		}
	}
	return slices.DeleteFunc(all, func(l lane) bool { return len(l) == 0 })
}

// run does harm until the context ends, or until the quota is fulfilled if there
// is a quota. All harm is mended then. A seed gives the same faults in the same
// order.
func (n *nemesis) run(ctx context.Context, seed uint64) {
	var lanes sync.WaitGroup
	for i, l := range n.lanes() {
		rng := rand.New(rand.NewPCG(seed, uint64(i)+1000))
		next := func() (harm, bool) { return l[rng.IntN(len(l))], true }
		if n.quota != nil {
			next = n.quota.of(l, rng)
		}
		lanes.Go(func() {
			for pause(ctx, between(rng, n.pace/4, n.pace*7/4)) {
				h, more := next()
				if !more {
					return
				}
				h.choose(rng, n.targets)
				n.do(ctx, &h)
			}
		})
	}
	lanes.Wait()
}

// harm is a fault to come. All choices are made before the fault begins.
type harm struct {
	kind   string
	target *process
	link   *link
	on     int // of the link's ways
	lasts  time.Duration

	before string // an earlier fault of the link, "" for none
	since  time.Duration
	then   *process // is frozen when the target is thawed; nil for none
	slow   *process // is behind a slow link meanwhile; nil for none
}

// can says whether the target can have this fault.
func (h *harm) can() bool {
	switch {
	case h.kind == forget:
		return h.target.forget != nil
	case h.kind == noLeader:
		return h.target.role == commandService
	case slices.Contains(ofLinks, h.kind):
		return len(h.target.links) > 0
	case slices.Contains(ofBrokers, h.kind):
		return h.target.faults != ""
	default:
		return true
	}
}

// ends says whether the fault ends a process.
func (h *harm) ends() bool {
	return h.kind == kill || h.kind == restart || h.kind == forget || h.kind == noLeader
}

// choose makes all other choices. Two choices make the harm worse:
//   - Much is under way when the fault comes: behind a slow link, or with one of
//     several ways cut.
//   - A frozen process comes back while its twin is frozen, or is just taking over.
func (h *harm) choose(rng *rand.Rand, all []*process) {
	short, long := between(rng, 0, 2*time.Second), between(rng, session+2*time.Second, 2*session+2*time.Second)
	before, since, twins := rng.IntN(3), between(rng, time.Second, 3*time.Second), rng.IntN(3)
	other, on := rng.IntN(2), rng.IntN(2*kafkaNodes)
	h.lasts, h.on, h.since = long, everywhere, since
	if h.ends() || h.kind == reset {
		h.lasts = short
	}
	switch {
	case h.kind == freeze && twins == 0:
		h.then = twin(h.target, all)
	case h.kind == freeze && twins == 1:
		// The target comes back while its twin, behind a slow link, takes over.
		if h.slow = twin(h.target, all); h.slow != nil {
			before, h.lasts = 1, session+short*3/2
		}
	}
	links := h.target.links
	if len(links) == 0 || slices.Contains(ofBrokers, h.kind) {
		return
	}
	if !slices.Contains(ofProcesses, h.kind) {
		h.link = links[other%len(links)]
		if on < len(h.link.proxies) {
			h.on = on
		}
		return
	}
	h.link = links[0]
	switch {
	case h.kind == noLeader:
		h.on, h.since = on%partitions, long
	case h.kind == restart || before == 0:
	case before == 1 || len(h.link.proxies) == 1:
		h.before = latency
	default:
		h.before = blackHole
		if h.target.role != broker { // the peers of a broker get nothing at all
			h.on = on % len(h.link.proxies)
		}
	}
}

// twin is the other process of a role of two; nil for other roles.
func twin(p *process, all []*process) (other *process) {
	n := 0
	for _, o := range all {
		if o.role == p.role && o != p {
			other = o
			n++
		}
	}
	if n != 1 {
		return nil
	}
	return other
}

func (h *harm) String() string {
	way := ""
	if h.on != everywhere && len(h.link.proxies) > 1 {
		way = fmt.Sprintf(" %d", h.on+1)
	}
	if slices.Contains(ofLinks, h.kind) {
		return fmt.Sprintf("%s between %s and %s%s", h.kind, h.target.name, h.link.name, way)
	}
	text := h.kind + " " + h.target.name
	if h.kind == noLeader {
		return fmt.Sprintf("%s of partition %d of topic commands for %s, then kill", h.kind, h.on, h.target.name)
	}
	if h.before != "" {
		text += fmt.Sprintf(", after %s to %s%s", h.before, h.link.name, way)
	}
	if h.then != nil {
		text += ", then " + h.then.name
	}
	if h.slow != nil {
		text += fmt.Sprintf(", for %s, with %s slow", h.lasts.Round(100*time.Millisecond), h.slow.name)
	}
	return text
}

// do does harm, mends it, and waits until every client has had answers to later
// requests.
func (n *nemesis) do(ctx context.Context, h *harm) {
	n.say("%s", h)
	f := fault{Kind: h.kind, Role: h.target.role, Target: h.target.name, From: n.history.now()}
	err := n.hurt(ctx, h)
	f.To = n.history.now()
	if err == nil && ctx.Err() == nil {
		err = n.recovered(ctx, h.target, f.To)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
	if err != nil && ctx.Err() == nil {
		n.wrong = append(n.wrong, fmt.Sprintf("%s: %v", h, err))
	}
}

// hurt does harm, and mends it.
func (n *nemesis) hurt(ctx context.Context, h *harm) (err error) {
	p := h.target
	if h.before != "" || slices.Contains(ofLinks, h.kind) {
		defer h.link.mend(context.WithoutCancel(ctx))
	}
	if h.before != "" {
		err = h.link.cut(h.before, h.on)
		pause(ctx, h.since)
	}
	if h.slow != nil && len(h.slow.links) > 0 {
		err = errors.Join(err, h.slow.links[0].cut(latency, everywhere))
		defer h.slow.links[0].mend(context.WithoutCancel(ctx))
	}
	switch h.kind {
	case noLeader:
		defer h.link.mend(context.WithoutCancel(ctx))
		h.link.lose(int32(h.on))
		pause(ctx, h.since)
		fallthrough
	case kill:
		p.kill()
		pause(ctx, h.lasts)
		return errors.Join(err, p.start())
	case restart:
		err = p.stop(time.Minute)
		pause(ctx, h.lasts)
		return errors.Join(err, p.start())
	case forget:
		return errors.Join(err, p.forget(ctx))
	case freeze:
		p.signal(syscall.SIGSTOP, false)
		pause(ctx, h.lasts)
		if h.then != nil {
			h.then.signal(syscall.SIGSTOP, false)
			defer h.then.signal(syscall.SIGCONT, false)
		}
		p.signal(syscall.SIGCONT, false)
		if h.then != nil {
			pause(ctx, h.since)
		}
		return err
	}
	if p.faults != "" && slices.Contains(ofBrokers, h.kind) {
		err = p.tell(ctx, http.MethodPut, "/"+h.kind)
		pause(ctx, h.lasts)
		return errors.Join(err, p.tell(context.WithoutCancel(ctx), http.MethodDelete, ""))
	}
	err = h.link.cut(h.kind, h.on)
	pause(ctx, h.lasts)
	return err
}

// note notes what was not mended.
func (n *nemesis) note(err error) {
	if err == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wrong = append(n.wrong, err.Error())
}

// recovered waits until a process is ready, and every client has an answer.
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
