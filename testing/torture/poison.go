package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

const (
	// poison is the patch that makes the domain fail on history.Poison, as long
	// as there is the file that poisonFile names.
	poison     = "poison"
	poisonFile = "TORTURE_POISON"
	// poisonOneIn is of how many commands one can't be decided.
	poisonOneIn = 40
	// atOnce is how many users an operator sees to at the same time.
	atOnce = 4
	// letGoIn is how long it may take until nothing is parked any more, once the
	// fault is mended.
	letGoIn = 90 * time.Second
)

// ward is where the users are whose commands are parked, with its operator: he
// drops and requeues them, while the fault is there and when it is mended.
type ward struct {
	cluster *cluster
	file    string // the fault
	rng     *rand.Rand
	history *recorder
	say     func(string, ...any)

	stop  context.CancelFunc
	ended chan struct{}
	did   map[string]int
	since time.Duration // the domain is broken; 0 if it isn't
}

// poisoned is the file that is the domain's fault.
func (p plan) poisoned() string { return filepath.Join(p.dir, poison) }

// openWard breaks the domain, and lets the operator begin, if the run is to be
// poisoned. Who calls letGo has him end, with nothing parked.
func (n *nemesis) openWard(ctx context.Context, c *cluster, o options) (letGo func()) {
	if !o.poison {
		return func() {}
	}
	rounds, stop := context.WithCancel(ctx)
	w := &ward{
		cluster: c, file: c.poisoned(), rng: rand.New(rand.NewPCG(o.seed, 3000)), history: n.history, say: n.say,
		stop: stop, ended: make(chan struct{}), did: map[string]int{},
	}
	note := func(err error) {
		if err != nil {
			n.wrong = append(n.wrong, err.Error())
		}
	}
	note(w.breakIt())
	go func() {
		defer close(w.ended)
		for pause(rounds, between(w.rng, time.Second/5, 3*time.Second/2)) {
			w.round(rounds)
		}
	}()
	return func() { note(w.letGo(ctx)) }
}

func (w *ward) breakIt() error {
	w.since = w.history.now()
	return os.WriteFile(w.file, nil, 0o600)
}

func (w *ward) mend() error {
	if w.since == 0 {
		return nil
	}
	err := os.Remove(w.file)
	w.history.add(history.Operation{Client: -1, Kind: history.Broken, Call: w.since, Return: w.history.now()})
	w.since = 0
	return err
}

// parked is a user whose commands wait, and the one at fault.
type parked struct{ user, command string }

// round sees to some users: he drops their parked commands or requeues them,
// mended or not.
func (w *ward) round(ctx context.Context) {
	what, count, again := w.rng.IntN(4), 1+w.rng.IntN(atOnce), between(w.rng, 0, 2*time.Second)
	kind := history.Requeue
	if what == 0 {
		kind = history.Drop
	}
	all, err := w.list(ctx)
	if err != nil || len(all) == 0 {
		return // a broker may be dead
	}
	w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if what > 1 {
		err = w.mend()
	}
	w.send(ctx, kind, all[:min(count, len(all))])
	if what > 1 {
		pause(ctx, again)
		err = errors.Join(err, w.breakIt())
	}
	if err != nil {
		w.say("can't break and mend the domain: %v", err)
	}
}

// send runs an operator's commands on some users at the same time.
func (w *ward) send(ctx context.Context, kind string, some []parked) {
	var all sync.WaitGroup
	for _, p := range some {
		all.Go(func() { w.history.add(w.operate(ctx, kind, p)) })
	}
	all.Wait()
	w.did[kind] += len(some)
}

// letGo ends the operator's rounds, mends the domain for good, and requeues all
// until nothing waits.
func (w *ward) letGo(ctx context.Context) error {
	w.stop()
	<-w.ended
	if err := w.mend(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, letGoIn)
	defer cancel()
	why := errors.New("never asked")
	for ctx.Err() == nil {
		all, err := w.list(ctx)
		for len(all) > 0 {
			some := all[:min(atOnce, len(all))]
			w.send(ctx, history.Requeue, some)
			all = all[len(some):]
		}
		if err == nil {
			err = w.held()
		}
		if err == nil {
			w.say("nothing is parked: %d requeued, %d dropped by then", w.did[history.Requeue], w.did[history.Drop])
			return nil
		}
		if ctx.Err() == nil {
			why = err
		}
		pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("commands wait %s after the domain was mended: %w", letGoIn, why)
}

// held is an error if a command service knows of commands that wait.
func (w *ward) held() error {
	for _, p := range w.cluster.of(commandService) {
		metrics, err := metricsOf(p)
		if err != nil {
			return err
		}
		users, commands := metrics["millrace_ledger_parked_users"], metrics["millrace_ledger_held_commands"]
		if users+commands > 0 {
			return fmt.Errorf("%s says that %.0f commands wait, and that %.0f users are parked", p.name, commands, users)
		}
	}
	return nil
}

// list is app parked list.
func (w *ward) list(ctx context.Context) ([]parked, error) {
	out, err := w.cluster.parked(ctx, "list")
	return readList(out), err
}

func readList(out string) (all []parked) {
	for line := range strings.Lines(out) {
		// USER WAITING COMMAND TYPE SINCE REASON
		if fields := strings.Fields(line); len(fields) > 5 && fields[0] != "USER" {
			all = append(all, parked{fields[0], fields[2]})
		}
	}
	return all
}

// operate is app parked requeue, or drop, and what the operator was told.
func (w *ward) operate(ctx context.Context, kind string, p parked) history.Operation {
	o := history.Operation{Client: -1, Instance: "operator", Kind: kind, User: p.user, CommandID: p.command, Call: w.history.now()}
	args := []string{"requeue", p.user}
	if kind == history.Drop {
		args = []string{"drop", p.user, p.command}
	}
	out, err := w.cluster.parked(ctx, args...)
	o.Return = w.history.now()
	readErrand(&o, out, err)
	return o
}

// fate is what an operator is told of the command at fault. It may be another
// than the one that the list had, by then.
var fate = regexp.MustCompile(`renameUser (\S+) (?:(succeeded); user \S+ is at version (\d+)|is (refused): (.*)|is (parked) again)`)

// readErrand notes what was told. All else, such as that nothing is parked any
// more, says nothing.
func readErrand(o *history.Operation, out string, err error) {
	text := out
	if err != nil {
		text, o.Error = err.Error(), err.Error()
	}
	told := fate.FindStringSubmatch(text)
	if told == nil {
		return
	}
	o.CommandID = told[1]
	switch {
	case told[2] != "":
		o.HTTP = http.StatusOK
		o.Version, _ = strconv.ParseUint(told[3], 10, 64) // digits
	case told[4] != "":
		o.HTTP, o.Slug = http.StatusConflict, told[5]
	default:
		o.HTTP, o.Slug = http.StatusInternalServerError, "command-parked"
	}
}

// parked runs app parked, past all proxies.
func (c *cluster) parked(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := c.command(ctx, c.verifier, append([]string{"parked"}, args...)...)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, log.String())
	}
	return out.String(), nil
}
