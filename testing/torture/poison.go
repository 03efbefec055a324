package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/testing/torture/history"
	"github.com/millrace/millrace/testing/torture/hostile"
)

const (
	// poisonFile is the environment variable of a file. As long as the file exists,
	// a poisoned domain fails on history.Poison, and a poisoned reaction on some
	// records.
	poisonFile = "TORTURE_POISON"
	// poisonOneIn: one of so many commands is poisoned.
	poisonOneIn = 40
	// atOnce is the largest number of users that an operator sees to at a time.
	atOnce = 4
	// releaseTimeout is the longest time from the mended fault until no command is
	// parked.
	releaseTimeout = 90 * time.Second
)

// ward is the operator of what is parked. The operator breaks and mends the
// domain, and drops and requeues parked commands, with the fault and without. Of
// the bank, the operator breaks and mends the reaction, and retries the streams
// that are parked in the reaction.
type ward struct {
	cluster *cluster
	domains []*domain
	rng     *rand.Rand
	history *recorder
	say     func(string, ...any)

	stop  context.CancelFunc
	ended chan struct{}
	did   map[string]int
}

// domain is the domain of one process: while a fix is rolled out, the domains of
// the processes differ.
type domain struct {
	process string
	file    string // the fault
	history *recorder
	since   time.Duration // when the domain was broken; 0 for a mended domain
}

// poisoned is the file that breaks the domain of a process.
func (p plan) poisoned(process string) string { return filepath.Join(p.dir, "poison-"+process) }

// openWard breaks the domain and starts the operator, if the options say so.
// release stops the operator, and returns with nothing parked.
func (n *nemesis) openWard(ctx context.Context, c *cluster, o options) (release func()) {
	if !o.poison {
		return func() {}
	}
	rounds, stop := context.WithCancel(ctx)
	w := &ward{
		cluster: c, rng: rand.New(rand.NewPCG(o.seed, 3000)), history: n.history, say: n.say,
		stop: stop, ended: make(chan struct{}), did: map[string]int{},
	}
	for _, p := range c.of(commandService) {
		w.domains = append(w.domains, &domain{process: p.name, file: c.poisoned(p.name), history: n.history})
	}
	round, free := w.round, w.requeueAll
	if o.bank {
		round, free = w.roundOfReaction, w.retryAll
	}
	n.note(w.breakAll())
	go func() {
		defer close(w.ended)
		for pause(rounds, between(w.rng, time.Second/5, 3*time.Second/2)) {
			round(rounds)
		}
	}()
	return func() { n.note(w.release(ctx, free)) }
}

func (d *domain) breakIt() error {
	if d.since == 0 {
		d.since = d.history.now()
	}
	return os.WriteFile(d.file, nil, 0o600)
}

func (d *domain) mend() error {
	if d.since == 0 {
		return nil
	}
	err := os.Remove(d.file)
	d.history.add(history.Operation{Client: -1, Instance: d.process, Kind: history.Broken, Call: d.since, Return: d.history.now()})
	d.since = 0
	return err
}

func (w *ward) breakAll() (err error) {
	for _, d := range w.domains {
		err = errors.Join(err, d.breakIt())
	}
	return err
}

func (w *ward) mendAll() (err error) {
	for _, d := range w.domains {
		err = errors.Join(err, d.mend())
	}
	return err
}

// parked is a user with deferred commands, and the id of the parked command.
type parked struct{ user, command string }

// round drops or requeues the parked commands of some users. Before, the round may
// mend all domains for a moment, or break or mend the domain of one process.
func (w *ward) round(ctx context.Context) {
	what, count, again := w.rng.IntN(5), 1+w.rng.IntN(atOnce), between(w.rng, 0, 2*time.Second)
	one := w.domains[w.rng.IntN(len(w.domains))]
	kind := history.Requeue
	if what == 0 {
		kind = history.Drop
	}
	all, err := w.list(ctx)
	if err != nil || len(all) == 0 {
		return // a broker may be down
	}
	w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	switch {
	case what > 2:
		err = w.mendAll()
	case what == 2 && one.since > 0:
		err = one.mend()
	case what == 2:
		err = one.breakIt()
	}
	w.send(ctx, kind, all[:min(count, len(all))])
	if what > 2 {
		pause(ctx, again)
		err = errors.Join(err, w.breakAll())
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

// release ends the rounds, mends all domains for good, and frees until nothing is
// parked.
func (w *ward) release(ctx context.Context, free func(context.Context) error) error {
	w.stop()
	<-w.ended
	if err := w.mendAll(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	why := errors.New("never asked")
	for ctx.Err() == nil {
		err := free(ctx)
		if err == nil {
			var did []string
			for _, what := range slices.Sorted(maps.Keys(w.did)) {
				did = append(did, fmt.Sprintf("%d %s", w.did[what], what))
			}
			w.say("nothing is parked: by then %s", strings.Join(did, ", "))
			return nil
		}
		if ctx.Err() == nil {
			why = err
		}
		pause(ctx, 200*time.Millisecond)
	}
	return fmt.Errorf("something is parked %s after the domain was mended: %w", releaseTimeout, why)
}

// requeueAll requeues all parked commands. The error says that something is still
// parked.
func (w *ward) requeueAll(ctx context.Context) error {
	all, err := w.list(ctx)
	for some := range slices.Chunk(all, atOnce) {
		w.send(ctx, history.Requeue, some)
	}
	if err == nil {
		err = w.waiting()
	}
	return err
}

// waiting is an error if a command service has parked or deferred commands.
func (w *ward) waiting() error {
	for _, p := range w.cluster.of(commandService) {
		metrics, err := metricsOf(p)
		if err != nil {
			return err
		}
		streams, commands := metrics["millrace_state_parked_streams"], metrics["millrace_state_deferred_commands"]
		if streams+commands > 0 {
			return fmt.Errorf("%s says that %.0f commands wait, and that %.0f streams are parked", p.name, commands, streams)
		}
	}
	return nil
}

// list runs app parked list.
func (w *ward) list(ctx context.Context) ([]parked, error) {
	out, err := w.cluster.operate(ctx, "parked", "list")
	return readList(out), err
}

func readList(out string) (all []parked) {
	for line := range strings.Lines(out) {
		// STREAM WAITING COMMAND TYPE SINCE REASON
		if fields := strings.Fields(line); len(fields) > 5 && fields[0] != "STREAM" && !hostile.IsStream(fields[0]) {
			all = append(all, parked{history.UserOf(fields[0]), fields[2]})
		}
	}
	return all
}

// operate runs app parked requeue or drop, and returns the operator's operation.
func (w *ward) operate(ctx context.Context, kind string, p parked) history.Operation {
	o := history.Operation{Client: -1, Instance: "operator", Kind: kind, User: p.user, CommandID: p.command, Call: w.history.now()}
	stream := users.Aggregate.Stream(p.user)
	args := []string{"parked", "requeue", stream}
	if kind == history.Drop {
		args = []string{"parked", "drop", stream, p.command}
	}
	out, err := w.cluster.operate(ctx, args...)
	o.Return = w.history.now()
	readErrand(&o, out, err)
	return o
}

// fate finds the outcome of the parked command in the output. By then another
// command may be the parked one.
var fate = regexp.MustCompile(`renameUser (\S+) (?:(succeeded); \S+ is at version (\d+)|is (refused): (.*)|is (parked) again)`)

// readErrand reads the outcome of an operator's command into the operation. Other
// output, such as "nothing is parked", is no outcome.
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

// roundOfReaction retries some parked streams, most often with the reaction mended
// meanwhile.
func (w *ward) roundOfReaction(ctx context.Context) {
	mends, count := w.rng.IntN(4) > 0, 1+w.rng.IntN(2*atOnce)
	all, _, err := w.parkedInReaction(ctx)
	if err != nil || len(all) == 0 {
		return // a broker may be down
	}
	w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	if mends {
		err = w.mendAll()
	}
	w.retry(ctx, all[:min(count, len(all))])
	if mends {
		err = errors.Join(err, w.breakAll())
	}
	if err != nil {
		w.say("can't break and mend the reaction: %v", err)
	}
}

// retryAll retries all streams that are parked in the reaction. The error says that
// a stream was parked, or goes on.
func (w *ward) retryAll(ctx context.Context) error {
	all, goOn, err := w.parkedInReaction(ctx)
	w.retry(ctx, all)
	if err == nil && len(all)+goOn > 0 {
		err = fmt.Errorf("%d streams were parked in the reaction, and %d go on", len(all), goOn)
	}
	return err
}

// retry runs app reactions retry on some streams.
func (w *ward) retry(ctx context.Context, streams []string) {
	for some := range slices.Chunk(streams, atOnce) {
		results := make([]error, len(some))
		var all sync.WaitGroup
		for i, stream := range some {
			all.Go(func() { _, results[i] = w.cluster.operate(ctx, "reactions", "retry", bankReaction, stream) })
		}
		all.Wait()
		for _, err := range results {
			if w.did["retry"]++; err != nil {
				w.did["retry failed"]++
			}
		}
	}
}

// parkedInReaction runs app reactions list, and returns the parked streams and the
// number of open streams that go on.
func (w *ward) parkedInReaction(ctx context.Context) (streams []string, goOn int, err error) {
	out, err := w.cluster.operate(ctx, "reactions", "list")
	for line := range strings.Lines(out) {
		// REACTION STREAM OFFSET REASON
		switch fields := strings.Fields(line); {
		case len(fields) < 4 || fields[0] != bankReaction:
		case fields[3] == "(goes":
			goOn++
		default:
			streams = append(streams, fields[1])
		}
	}
	return streams, goOn, err
}

// operate runs a command of an operator, past all proxies.
func (c *cluster) operate(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := c.command(ctx, c.verifier, args...)
	var out, log strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, log.String())
	}
	return out.String(), nil
}
