package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// partitions is few: the more users share one, the more there is to go wrong.
const partitions = 4

// cluster is Millrace in processes of its own: two of each role, and one
// broker, or a real Kafka.
type cluster struct {
	processes []*process
	net       *network
	brokers   string            // past all proxies
	direct    map[string]string // settings of a client of the run's, past all proxies
	verifier  string            // the binary that verifies
	dir       string
}

// plan is what a cluster is made of.
type plan struct {
	binary, verifier string
	dir              string
	kafka            string // host:port of a real one, "" for the embedded broker
	postgres         string // its URL, "" for SQLite
	prefix           string // of topics, on a real Kafka
}

// startCluster starts it, and waits until all is ready.
func startCluster(ctx context.Context, p plan) (*cluster, error) {
	c := &cluster{net: newNetwork(), brokers: p.kafka, verifier: p.verifier, dir: p.dir}
	common := map[string]string{
		"kafka.partitions": strconv.Itoa(partitions), "kafka.topic_prefix": p.prefix,
		"store.sqlite.path": filepath.Join(p.dir, "read.db"),
		// Long enough for answers, short enough that a fault isn't all there is.
		"command_service.publish_timeout": "5s",
	}
	if p.postgres != "" {
		common["store.driver"], common["store.postgres.url"] = "postgres", p.postgres
	}
	if p.kafka == "" {
		broker, err := c.process(p, "broker", "broker", maps.Clone(common), "broker.address")
		if err != nil {
			return c, err
		}
		c.brokers = broker.set["broker.address"]
		if err := broker.start(); err != nil {
			return c, err
		}
		if err := broker.waitUntilReady(ctx, time.Minute); err != nil {
			return c, err
		}
	}
	c.direct = maps.Clone(common)
	c.direct["kafka.brokers"], c.direct["data_dir"] = c.brokers, filepath.Join(p.dir, "verify")
	for _, role := range []string{"command-service", "query-service", "read-api"} {
		for i := range 2 {
			if err := c.addService(p, role, fmt.Sprintf("%s-%d", role, i+1), common); err != nil {
				return c, err
			}
		}
	}
	for _, process := range c.processes {
		if process.role == "broker" {
			continue
		}
		if err := process.start(); err != nil {
			return c, err
		}
	}
	return c, c.waitUntilReady(ctx, 2*time.Minute)
}

// addService adds one behind links of its own.
func (c *cluster) addService(p plan, role, name string, common map[string]string) error {
	set := maps.Clone(common)
	toKafka, err := c.net.toKafka(name+" to kafka", c.brokers)
	if err != nil {
		return err
	}
	set["kafka.brokers"] = toKafka.address()
	var toStore *link
	if p.postgres != "" && role != "command-service" {
		u, err := url.Parse(p.postgres)
		if err != nil {
			return errors.New("POSTGRES_URL is not a URL")
		}
		if toStore, err = c.net.toStore(name+" to postgres", u.Host); err != nil {
			return err
		}
		u.Host = toStore.address()
		set["store.postgres.url"] = u.String()
	}
	key := map[string]string{"command-service": "command_service.address", "read-api": "read_api.address"}[role]
	process, err := c.process(p, role, name, set, key)
	if err != nil {
		return err
	}
	process.link, process.store, process.url = toKafka, toStore, "http://"+set[key]
	return nil
}

// process adds one that listens at an address of its own under a key, if any.
func (c *cluster) process(p plan, role, name string, set map[string]string, key string) (*process, error) {
	dir := filepath.Join(p.dir, name)
	set["roles"], set["data_dir"] = role, filepath.Join(dir, "data")
	for _, key := range []string{key, "admin.address"} {
		if key == "" {
			continue
		}
		address, err := freeAddress()
		if err != nil {
			return nil, err
		}
		set[key] = address
	}
	process := &process{name: name, role: role, binary: p.binary, dir: dir, set: set, admin: set["admin.address"]}
	c.processes = append(c.processes, process)
	return process, nil
}

// waitUntilReady waits for all of them.
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

// verify runs app verify, and returns what it printed if it found anything.
func (c *cluster) verify(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.verifier, append([]string{"verify"}, settings(c.direct)...)...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return os.WriteFile(filepath.Join(c.dir, "verify.txt"), out, 0o600)
}

// crashes are the processes that ended by themselves.
func (c *cluster) crashes() []string {
	var all []string
	for _, p := range c.processes {
		all = append(all, p.crashed()...)
	}
	return all
}

// end kills all of it.
func (c *cluster) end() {
	for _, p := range c.processes {
		p.kill()
	}
	c.net.close()
}
