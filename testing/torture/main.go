// Command torture runs Millrace as whole processes under random commands and
// reads. Meanwhile torture kills, freezes and restarts processes, and cuts the
// network between processes. In the end torture checks every promise. Run the
// command in this folder.
//
// If a promise was broken, the exit code is 1, and the history and the logs of the
// processes stay.
//
// The package is a module of its own, because toxiproxy and porcupine bring many
// modules along: a module that imports Millrace doesn't get them.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/millrace/millrace/testing/torture/history"
)

// portRandom picks ports. The seed of a run doesn't choose ports.
var portRandom = rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(os.Getpid())))

type options struct {
	duration time.Duration
	seed     uint64
	clients  int
	store    string
	broker   string
	faults   string
	targets  string
	quota    string
	pace     time.Duration
	rebuilds bool
	soak     bool
	mixed    bool
	poison   bool
	hostile  bool
	bank     bool
	damage   int
	mutant   string
	keep     bool
}

func main() {
	runFaulty(os.Args[1:])
	var o options
	flag.DurationVar(&o.duration, "duration", 3*time.Minute, "how long to torture, without -quota")
	flag.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano())%1e9, "the seed of the random commands and faults")
	flag.IntVar(&o.clients, "clients", 8, "how many clients there are")
	flag.StringVar(&o.store, "store", "sqlite", "sqlite, or postgres: one of the run's own")
	flag.StringVar(&o.broker, "broker", "embedded", "embedded; faulty: the same, told to fail; or kafka: three nodes of the run's own")
	flag.StringVar(&o.faults, "faults", strings.Join(allFaults, ","), "which faults, by comma; none for none")
	flag.StringVar(&o.quota, "quota", "", "how often each role gets a fault, such as kill:20,freeze:5,restart:5,partition:5; the run ends then")
	flag.DurationVar(&o.pace, "pace", 1500*time.Millisecond, "the pause after a fault, on average")
	flag.StringVar(&o.targets, "targets", strings.Join(allRoles, ","), "which roles to harm, by comma")
	flag.BoolVar(&o.rebuilds, "rebuilds", true, "rebuild read models meanwhile")
	flag.BoolVar(&o.soak, "soak", false, "sample memory, goroutines and files of processes, spare one process of each role kill and restart, and fail if a sample grows steadily: -soak -duration 1h -pace 1m")
	flag.BoolVar(&o.mixed, "mixed", false, "run another version as the second command service, with other records, as in a rolling upgrade")
	flag.BoolVar(&o.poison, "poison", false, "break the domain, so that commands are parked, with an operator who mends the domain, requeues and drops; of the bank: break the reaction, with an operator who mends and retries")
	flag.BoolVar(&o.hostile, "hostile", true, "write hostile records into the topics meanwhile: unknown types, wrong envelopes, garbage, aborted transactions")
	flag.BoolVar(&o.bank, "bank", false, "torture examples/bank instead of the users: accounts with unique numbers, transfers by a reaction, timers and a public topic")
	flag.IntVar(&o.damage, "damage", 0, "instead of traffic and faults: so many rounds of damage to the files of the embedded broker, and to topics")
	flag.StringVar(&o.mutant, "mutant", "", "break a rule first: a patch of testdata/mutants, such as no-gate")
	flag.BoolVar(&o.keep, "keep", false, "keep the data of a run without violations")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code, err := run(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		code = 1
	}
	stop()
	os.Exit(code)
}

// run is a whole run. The code is 1 if a promise was broken.
func run(ctx context.Context, o options) (code int, err error) {
	kinds, err := kindsOf(o.faults)
	if err != nil {
		return 1, err
	}
	quota, err := parseQuota(o.quota)
	if err != nil {
		return 1, err
	}
	dir, err := os.MkdirTemp("", "millrace-torture-")
	if err != nil {
		return 1, err
	}
	defer func() {
		if code == 0 && err == nil && !o.keep {
			err = os.RemoveAll(dir)
			return
		}
		fmt.Println("kept in", dir)
	}()
	length := o.duration.String()
	if quota != nil {
		length = o.quota + " of each role"
	}
	fmt.Printf("torture: seed %d, %s, %d clients, broker %s, store %s\n", o.seed, length, o.clients, o.broker, o.store)
	p := plan{dir: dir, broker: o.broker, store: o.store, service: shipped}
	if o.bank {
		p.service = bankService
	}
	if p.verifier, err = p.build(ctx, top, "millrace"); err != nil {
		return 1, err
	}
	p.binary = p.verifier
	var names []string
	if o.poison {
		names = append(names, p.service.poison)
	}
	if o.mutant != "" {
		names = append(names, "mutants/"+o.mutant)
	}
	if len(names) > 0 {
		if p.binary, err = p.buildPatched(ctx, names...); err != nil {
			return 1, err
		}
	}
	p.other = p.binary
	if o.mixed {
		if p.other, err = p.buildPatched(ctx, append(names, mixed)...); err != nil {
			return 1, err
		}
	}
	if o.damage > 0 {
		return wreckAll(ctx, p, o)
	}
	c, err := startCluster(ctx, p)
	defer c.end()
	if err != nil {
		return 1, err
	}
	began := time.Now()
	h, err := newRecorder(filepath.Join(dir, "history.jsonl"))
	if err != nil {
		return 1, err
	}
	n := &nemesis{
		targets: targets(c, o.targets), kinds: kinds, quota: quota, pace: o.pace, spares: o.soak, history: h, clients: o.clients,
		say: func(format string, args ...any) {
			fmt.Printf("%7.1fs  %s\n", h.now().Seconds(), fmt.Sprintf(format, args...))
		},
	}
	op := newOperator(c, o.seed, n.say)
	if o.bank {
		return tormentBank(ctx, c, n, op, o)
	}
	torment(ctx, c, n, op, o)
	if err := ctx.Err(); err != nil {
		return 1, err
	}
	return judge(ctx, c, n, op, time.Since(began))
}

// torment runs clients and nemesis until the duration is over or the quota is
// fulfilled, mends all faults, and reads once more.
func torment(ctx context.Context, c *cluster, n *nemesis, op *operator, o options) {
	h := n.history
	harm, enough := context.WithCancel(ctx)
	if n.quota == nil {
		harm, enough = context.WithTimeout(ctx, o.duration)
	}
	defer enough()
	serve, stop := context.WithCancel(ctx)
	defer stop()
	us := newUsers(o.clients)
	transport := &http.Transport{MaxIdleConnsPerHost: o.clients}
	defer transport.CloseIdleConnections()
	var clients sync.WaitGroup
	all := make([]*client, o.clients)
	for i := range all {
		all[i] = &client{
			Asker:  history.Asker{HTTP: &http.Client{Transport: transport}, Now: h.now},
			number: i, rng: rand.New(rand.NewPCG(o.seed, uint64(i))),
			commands: c.of(commandService), queries: c.of(readAPI), users: us, recorder: h, poisons: o.poison,
		}
		clients.Go(func() { all[i].run(serve) })
	}
	var beside sync.WaitGroup
	if o.soak {
		every := max(time.Second, min(o.duration/200, 15*time.Second))
		beside.Go(func() { n.samples.take(harm, c.processes, every, h.now) })
	}
	if o.rebuilds {
		beside.Go(func() { op.run(harm, o.pace) })
	}
	var hostile *intruder
	if o.hostile {
		hostile = newIntruder(c, o.seed, func(rng *rand.Rand) string { return us.any(rng).id }, n.say)
		beside.Go(func() { hostile.run(harm) })
	}
	release := n.openWard(ctx, c, o)
	n.run(harm, o.seed)
	if n.quota == nil {
		<-harm.Done()
	}
	enough()
	beside.Wait()
	n.say("all is mended")
	n.note(c.waitUntilReady(ctx, 90*time.Second))
	n.say("all is ready")
	var last sync.WaitGroup
	if hostile != nil {
		last.Go(func() { n.note(hostile.drop(ctx)) })
	}
	if o.rebuilds {
		op.finish()
	}
	last.Wait()
	release()
	pause(ctx, 2*time.Second) // of peace, with clients
	stop()
	clients.Wait()
	release() // commands parked in the last moment
	if hostile != nil {
		n.note(hostile.finish(ctx))
	}
	for i, u := range us.last(10 * o.clients) {
		all[i%len(all)].read(u, history.Read, u.after)
	}
}

// judge runs all checks, and prints tables and violations.
func judge(ctx context.Context, c *cluster, n *nemesis, op *operator, took time.Duration) (int, error) {
	operations, err := n.history.close()
	if err != nil {
		return 1, err
	}
	broken := unmended(c, n)
	log, err := dump(ctx, c)
	if err != nil {
		return 1, err
	}
	if err := c.verify(ctx, log.Elsewhere()); err != nil {
		broken = append(broken, history.Violation{Rule: "verify", Detail: err.Error()})
	}
	report := history.Check(operations, log)
	broken = append(broken, report.Violations...)
	broken = append(broken, n.samples.grown(took)...)
	broken = append(broken, op.wrong...)
	printTable(operations, n.faults)
	printReport(operations, report, took)
	op.print(os.Stdout)
	printSamples(n.samples.longest())
	if code := printVerdict(broken); code == 0 || report.Linear.Result == porcupine.Ok {
		return code, nil
	}
	page := filepath.Join(c.dir, "linear.html")
	if err := report.Linear.Visualize(page); err != nil {
		return 1, err
	}
	fmt.Println("the users without an order, as porcupine sees them:", page)
	return 1, nil
}

// unmended are the processes that ended by themselves, and the faults that were not
// mended.
func unmended(c *cluster, n *nemesis) (broken []history.Violation) {
	for _, crash := range c.crashes() {
		broken = append(broken, history.Violation{Rule: "crash", Detail: crash})
	}
	for _, wrong := range n.wrong {
		broken = append(broken, history.Violation{Rule: "not mended", Detail: wrong})
	}
	return broken
}

// targets are the processes of these roles, by comma. If there are none, all
// processes are targets.
func targets(c *cluster, roles string) []*process {
	var chosen []*process
	for _, p := range c.processes {
		if slices.Contains(strings.Split(roles, ","), p.role) {
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return c.processes
	}
	return chosen
}

func kindsOf(list string) ([]string, error) {
	if list == "none" {
		return nil, nil
	}
	kinds := strings.Split(list, ",")
	for _, kind := range kinds {
		if !slices.Contains(allFaults, kind) {
			return nil, fmt.Errorf("no fault is called %q; there are %s", kind, strings.Join(allFaults, ", "))
		}
	}
	return kinds, nil
}

// top is the top of the tree, from here: the program runs in the folder of its
// own module, as go run . does.
const top = "../.."

// service is a service to torture.
type service struct {
	folder string   // of the program, in the tree
	models []string // the read models that operators rebuild
	poison string   // the patch that breaks the domain, or the reaction
	set    map[string]string
}

// shipped is the service of the tree, users.
var shipped = service{folder: "app", models: []string{"users", "history", "stats", "commands"}, poison: "poison"}

// build builds the program from a tree.
func (p plan) build(ctx context.Context, tree, name string) (string, error) {
	binary := filepath.Join(p.dir, name)
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	cmd.Dir = filepath.Join(tree, p.service.folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}
