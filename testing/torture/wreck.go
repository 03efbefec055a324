package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/damage"
	"github.com/millrace/millrace/testing/torture/history"
)

// wreckUsers is the number of users of a run with damage: some in each
// partition.
const wreckUsers = 4 * partitions

// wreckage damages files of the embedded broker, and topics, round after round.
// After each round the services go on with nothing lost, or refuse with a line
// that says what to do.
type wreckage struct {
	cluster          *cluster
	broker, services *process
	rng              *rand.Rand
	http             *http.Client
	say              func(string, ...any)
	users            []*wreckUser
	sent             int
	copies           int
	logged           int64 // the length of the services' log at the beginning of a round
	wrong            []history.Violation
}

// wreck is a kind of damage.
type wreck struct {
	kind string
	// files damages the files of the broker while no broker runs, and says how.
	files func(w *wreckage, copied string) (string, error)
	// topics damages topics while all runs, or the state store while the broker
	// runs.
	topics func(w *wreckage) error
	// refuses: the services must refuse. Otherwise the services must go on,
	// unless may is set.
	refuses, may bool
}

// wrecks are all kinds of damage. A short run does the first ones.
var wrecks = []wreck{
	{kind: "commands lose a tail", files: func(w *wreckage, _ string) (string, error) {
		return damage.Cut(w.rng, w.files(), eventlog.TopicCommands)
	}},
	{kind: "events lose a tail", files: func(w *wreckage, _ string) (string, error) {
		if w.rng.IntN(2) == 0 {
			if err := damage.RemoveStates(w.cluster.dir); err != nil {
				return "", err
			}
		}
		return damage.Cut(w.rng, w.files(), eventlog.TopicEvents)
	}, refuses: true},
	{kind: "the state store is damaged", topics: func(w *wreckage) error {
		return w.withoutState(func(dir string) error {
			did, err := damage.State(w.rng, dir)
			w.say("  %s", did)
			return err
		})
	}},
	{kind: "commands are deleted", topics: (*wreckage).deleted},
	{kind: "more partitions", topics: (*wreckage).morePartitions, refuses: true},
	{kind: "commands are made anew", topics: (*wreckage).anew},
	{kind: "the state store is gone", topics: func(w *wreckage) error { return w.withoutState(damage.RemoveStates) }},
	{kind: "commands are an older copy", files: func(w *wreckage, copied string) (string, error) {
		return "the copy of the round's begin", damage.Older(w.files(), copied, eventlog.TopicCommands)
	}},
	{kind: "a bit of commands flips", files: func(w *wreckage, _ string) (string, error) {
		return damage.Flip(w.rng, w.files(), eventlog.TopicCommands)
	}, may: true},
	{kind: "commands are emptied", files: func(w *wreckage, _ string) (string, error) {
		return damage.Empty(w.rng, w.files(), eventlog.TopicCommands)
	}},
	{kind: "a bit of events flips", files: func(w *wreckage, _ string) (string, error) {
		return damage.Flip(w.rng, w.files(), eventlog.TopicEvents)
	}, may: true},
}

// remedies are words of lines that say what to do, or what is wrong with a file.
var remedies = []string{"accept_shorter_log", "log copy", "is damaged there", "kafka.partitions is"}

// wreckAll is a run of rounds. The code is 1 if a promise was broken.
func wreckAll(ctx context.Context, p plan, o options) (code int, err error) {
	began := time.Now()
	w, err := startWreckage(ctx, p, o.seed, func(format string, args ...any) {
		fmt.Printf("%7.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	})
	defer w.cluster.end()
	if err != nil {
		return 1, err
	}
	w.run(ctx, o.damage)
	if err := ctx.Err(); err != nil {
		return 1, err
	}
	if len(w.wrong) == 0 {
		fmt.Println("verdict: every promise was kept")
		return 0, nil
	}
	fmt.Printf("verdict: BROKEN, %d times\n", len(w.wrong))
	printBroken(w.wrong)
	return 1, nil
}

// startWreckage starts a broker, and a process with all other roles.
func startWreckage(ctx context.Context, p plan, seed uint64, say func(string, ...any)) (*wreckage, error) {
	c := &cluster{plan: p, net: newNetwork(), common: map[string]string{
		"kafka.partitions": strconv.Itoa(partitions), "store.sqlite.path": filepath.Join(p.dir, "read.db"),
	}}
	w := &wreckage{cluster: c, rng: rand.New(rand.NewPCG(seed, 5000)), http: &http.Client{Timeout: history.AnswerIn}, say: say}
	if err := c.addBroker(); err != nil {
		return w, err
	}
	w.broker = c.processes[0]
	queries, err := freeAddress()
	if err != nil {
		return w, err
	}
	roles := strings.Join([]string{commandService, queryService, readAPI}, ",")
	set := map[string]string{"kafka.brokers": strings.Join(c.brokers(), ","), "read_api.address": queries}
	services, set, err := c.add(roles, "services", set, "command_service.address")
	if err != nil {
		return w, err
	}
	services.url = "http://" + set["command_service.address"]
	services.env = []string{poisonFile + "=" + c.poisoned(services.name)}
	c.processes, w.services = append(c.processes, services), services
	for i := range wreckUsers {
		w.users = append(w.users, &wreckUser{id: fmt.Sprintf("w%d", i+1), commands: services.url, queries: "http://" + queries, http: w.http})
	}
	for _, p := range c.processes {
		if err := p.start(); err != nil {
			return w, err
		}
	}
	return w, c.waitUntilReady(ctx, recoverIn)
}

// files is the data folder of the broker.
func (w *wreckage) files() string { return filepath.Join(w.broker.dir, "data", "broker") }

// short is the number of kinds of damage that come first.
const short = 4

// deal puts all kinds of damage into a random order.
func (w *wreckage) deal() []wreck {
	deck := slices.Clone(wrecks)
	for _, part := range [][]wreck{deck[:short], deck[short:]} {
		w.rng.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
	return deck
}

// run runs rounds: all kinds of damage in turn, in random order.
func (w *wreckage) run(ctx context.Context, rounds int) {
	var deck []wreck
	for i := range rounds {
		if len(deck) == 0 {
			deck = w.deal()
		}
		next := deck[0]
		deck = deck[1:]
		began := time.Now()
		what, err := w.round(ctx, next)
		w.say("round %d: %s, %s: %s", i+1, next.kind, what, time.Since(began).Round(100*time.Millisecond))
		if err != nil {
			w.wrong = append(w.wrong, history.Violation{Rule: next.kind, Detail: fmt.Sprintf("round %d, %s: %v", i+1, what, err)})
			return // the next round would say the same again
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// round does one damage, and checks what the services do.
func (w *wreckage) round(ctx context.Context, d wreck) (what string, err error) {
	if err := w.traffic(ctx); err != nil {
		return "before", err
	}
	pause(ctx, 1500*time.Millisecond) // group offsets are a second behind
	w.copies++
	copied := filepath.Join(w.cluster.dir, fmt.Sprintf("copy-%d", w.copies))
	if err := damage.Copy(w.files(), copied); err != nil {
		return "copy", err
	}
	defer func() { _ = os.RemoveAll(copied) }()
	before := w.known()
	if info, err := os.Stat(w.services.logFile()); err == nil {
		w.logged = info.Size()
	}
	if d.topics != nil {
		what, err = "all runs", d.topics(w)
	} else {
		what, err = w.damageFiles(ctx, d, copied)
	}
	if err != nil {
		return what, err
	}
	refused, err := w.answer(ctx, d)
	if err != nil || refused == "" {
		return what + ": all goes on", err
	}
	w.believe(before) // the copy is as old as that
	if err := w.restore(ctx, copied); err != nil {
		return what + ": refused", err
	}
	return what + ": refused, " + refused, w.goesOn(ctx)
}

// damageFiles stops the broker, and perhaps the services, damages files, and
// starts all again.
func (w *wreckage) damageFiles(ctx context.Context, d wreck, copied string) (what string, err error) {
	killed, live := w.rng.IntN(2) == 0, w.rng.IntN(3) == 0
	if d.kind == "commands are an older copy" {
		if err := w.traffic(ctx); err != nil {
			return "before", err
		}
	}
	how := map[bool]string{true: "killed", false: "stopped"}[killed]
	what = how + ", "
	if live {
		what = "broker " + how + " under the services, "
	} else if err := w.end(w.services, killed); err != nil {
		return what, err
	}
	if err := w.end(w.broker, killed); err != nil {
		return what, err
	}
	did, err := d.files(w, copied)
	what += did
	if err != nil {
		return what, err
	}
	if err := w.broker.start(); err != nil {
		return what, err
	}
	if err := w.broker.waitUntilReady(ctx, recoverIn); err != nil {
		return what, err
	}
	if live {
		return what, nil
	}
	return what, w.services.start()
}

func (w *wreckage) end(p *process, killed bool) error {
	if killed {
		p.kill()
		return nil
	}
	return p.stop(time.Minute)
}

// restore puts the copy of the files into place, and starts all again.
func (w *wreckage) restore(ctx context.Context, copied string) error {
	w.services.kill()
	w.broker.kill()
	if err := os.RemoveAll(w.files()); err != nil {
		return err
	}
	if err := damage.Copy(copied, w.files()); err != nil {
		return err
	}
	for _, p := range []*process{w.broker, w.services} {
		if err := p.start(); err != nil {
			return err
		}
		if err := p.waitUntilReady(ctx, recoverIn); err != nil {
			return err
		}
	}
	return nil
}

// deleted deletes topic commands.
func (w *wreckage) deleted() error {
	return w.administer(func(admin sarama.ClusterAdmin) error { return admin.DeleteTopic(eventlog.TopicCommands) })
}

// anew makes topic commands anew, before any service sees that the topic is gone.
func (w *wreckage) anew() error {
	return w.administer(func(admin sarama.ClusterAdmin) error {
		forever := "-1"
		return errors.Join(admin.DeleteTopic(eventlog.TopicCommands), admin.CreateTopic(eventlog.TopicCommands, &sarama.TopicDetail{
			NumPartitions: partitions, ReplicationFactor: 1,
			ConfigEntries: map[string]*string{"retention.ms": &forever, "retention.bytes": &forever},
		}, false))
	})
}

// morePartitions gives all topics more partitions.
func (w *wreckage) morePartitions() error {
	more := partitions + 1 + w.rng.Int32N(4)
	return w.administer(func(admin sarama.ClusterAdmin) error {
		var failed error
		for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
			failed = errors.Join(failed, admin.CreatePartitions(topic, more, nil, false))
		}
		return failed
	})
}

func (w *wreckage) administer(do func(sarama.ClusterAdmin) error) error {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(w.cluster.brokers(), config)
	if err != nil {
		return err
	}
	defer func() { _ = admin.Close() }()
	return do(admin)
}
