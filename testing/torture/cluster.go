package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// partitions is small: many users share a partition, and disturb each other.
const partitions = 4

// verifyTimeout is the longest time of app verify.
const verifyTimeout = 5 * time.Minute

// cluster is two processes of each role of Millrace, and the servers below.
type cluster struct {
	plan
	processes []*process
	net       *network
	nodes     []node            // the brokers
	postgres  string            // the database's address, "" for SQLite
	common    map[string]string // settings of all processes
}

// plan describes a cluster.
type plan struct {
	binary   string // the tortured program
	other    string // the program of the second command service
	verifier string // the program of app verify and app parked
	dir      string
	broker   string // embedded, faulty or kafka
	store    string // sqlite or postgres
	service  service
	request  func(process string, request []byte) // called with each request of a service to Kafka; nil for nothing
}

// startCluster starts a cluster, and waits until all processes are ready.
func startCluster(ctx context.Context, p plan) (*cluster, error) {
	c := &cluster{plan: p, net: newNetwork(), common: map[string]string{
		"kafka.partitions": strconv.Itoa(partitions),
		// Long enough for answers, and shorter than most faults.
		"command_service.publish_timeout": "5s",
	}}
	maps.Copy(c.common, p.service.set)
	if err := c.startServers(ctx); err != nil {
		return c, err
	}
	for _, role := range []string{commandService, queryService, readAPI} {
		for i := range 2 {
			p, err := c.addService(role, fmt.Sprintf("%s-%d", role, i+1))
			if err != nil {
				return c, err
			}
			if role == commandService && i == 1 {
				p.argv[0] = c.other
			}
			if err := p.start(); err != nil {
				return c, err
			}
		}
	}
	return c, c.waitUntilReady(ctx, 2*time.Minute)
}

// startServers starts broker and database, and waits for both.
func (c *cluster) startServers(ctx context.Context) (err error) {
	var programs programs
	if c.broker == "kafka" || c.store == "postgres" {
		if programs, err = findPrograms(ctx); err != nil {
			return err
		}
	}
	switch c.store {
	case "sqlite":
		c.common["store.sqlite.path"] = filepath.Join(c.dir, "read.db")
	case "postgres":
		c.common["store.driver"] = "postgres"
		if err := c.addPostgres(programs.postgres); err != nil {
			return err
		}
	default:
		return fmt.Errorf("-store %q: sqlite or postgres", c.store)
	}
	switch c.broker {
	case "embedded":
		err = c.addBroker()
	case "faulty":
		err = c.addFaulty()
	case "kafka":
		c.common["kafka.replication"] = strconv.Itoa(kafkaNodes)
		err = c.addKafka(programs.kafka)
	default:
		err = fmt.Errorf("-broker %q: embedded, faulty or kafka", c.broker)
	}
	if err != nil {
		return err
	}
	for _, p := range c.processes {
		if err := p.start(); err != nil {
			return err
		}
	}
	return c.waitUntilReady(ctx, 2*time.Minute)
}

// addBroker adds the embedded broker.
func (c *cluster) addBroker() error {
	p, set, err := c.add(broker, broker, nil, "broker.address")
	if err != nil {
		return err
	}
	c.nodes = []node{{0, set["broker.address"]}}
	p.log = set["broker.address"]
	c.processes = append(c.processes, p)
	return nil
}

// addService adds a service behind links of its own.
func (c *cluster) addService(role, name string) (*process, error) {
	set := map[string]string{}
	var request func([]byte)
	if c.request != nil {
		request = func(r []byte) { c.request(name, r) }
	}
	toKafka, err := c.net.toKafka("kafka", c.nodes, request)
	if err != nil {
		return nil, err
	}
	set["kafka.brokers"] = toKafka.addresses()
	links := []*link{toKafka}
	if c.postgres != "" && role != commandService {
		toPostgres, err := c.net.to("postgres", c.postgres)
		if err != nil {
			return nil, err
		}
		set["store.postgres.url"] = postgresURL(toPostgres.addresses())
		links = append(links, toPostgres)
	}
	key := map[string]string{commandService: "command_service.address", readAPI: "read_api.address"}[role]
	p, set, err := c.add(role, name, set, key)
	if err != nil {
		return nil, err
	}
	p.links, p.url = links, "http://"+set[key]
	p.env = []string{poisonFile + "=" + c.poisoned(name)}
	c.processes = append(c.processes, p)
	return p, nil
}

// add makes a process of Millrace, and returns its settings too. If key is not
// empty, the process listens at an address of its own, the value of this key.
func (c *cluster) add(role, name string, more map[string]string, key string) (*process, map[string]string, error) {
	dir := filepath.Join(c.dir, name)
	set := maps.Clone(c.common)
	maps.Copy(set, more)
	set["roles"], set["data_dir"] = role, filepath.Join(dir, "data")
	for _, key := range []string{key, "admin.address"} {
		if key == "" {
			continue
		}
		address, err := freeAddress()
		if err != nil {
			return nil, nil, err
		}
		set[key] = address
	}
	p := &process{
		name: name, role: role, dir: dir, admin: set["admin.address"], stopBy: stopSignal,
		argv: append([]string{c.binary, "serve"}, settings(set)...), ready: readyAt(set["admin.address"]),
	}
	return p, set, nil
}

// settings are flags for configuration keys.
func settings(set map[string]string) []string {
	var args []string
	for key, value := range set {
		args = append(args, "--set", key+"="+value)
	}
	return args
}

// waitUntilReady waits for all processes.
func (c *cluster) waitUntilReady(ctx context.Context, patience time.Duration) error {
	until := time.Now().Add(patience)
	for _, p := range c.processes {
		if err := p.waitUntilReady(ctx, max(time.Until(until), time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// of are the processes of a role.
func (c *cluster) of(role string) []*process {
	var all []*process
	for _, p := range c.processes {
		if p.role == role {
			all = append(all, p)
		}
	}
	return all
}

// brokers are the addresses of the brokers, past all proxies.
func (c *cluster) brokers() []string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.address)
	}
	return all
}

// kafka is a client of the brokers, past all proxies.
func (c *cluster) kafka() *kafka.Kafka {
	return &kafka.Kafka{Brokers: c.brokers(), Partitions: partitions, Replication: 1, Log: slog.New(slog.DiscardHandler)}
}

// verify runs app verify, past all proxies. The error has the output. elsewhere
// is the number of records in other partitions than their streams'.
func (c *cluster) verify(ctx context.Context, elsewhere int) error {
	ctx, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	out, failed := c.command(ctx, c.verifier, "verify").CombinedOutput()
	if err := c.service.proof(string(out), failed, elsewhere); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, "verify.txt"), out, 0o600)
}

// command is a run of the command line, past all proxies.
func (c *cluster) command(ctx context.Context, binary string, args ...string) *exec.Cmd {
	set := maps.Clone(c.common)
	set["kafka.brokers"], set["data_dir"] = strings.Join(c.brokers(), ","), filepath.Join(c.dir, args[0])
	if c.postgres != "" {
		set["store.postgres.url"] = postgresURL(c.postgres)
	}
	cmd := exec.CommandContext(ctx, binary, append(args, settings(set)...)...)
	cmd.Dir = c.dir
	return cmd
}

// crashes has a line for each time a process ended by itself.
func (c *cluster) crashes() []string {
	var all []string
	for _, p := range c.processes {
		all = append(all, p.crashed()...)
	}
	return all
}

// end kills all processes, and closes all proxies.
func (c *cluster) end() {
	for _, p := range c.processes {
		p.kill()
	}
	c.net.close()
}
