package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// What a broker does by itself, each to some requests.
const (
	lostAcks  = "lost-acks"  // it writes, and says that it took too long
	notLeader = "not-leader" // it says that another broker leads, or coordinates
	badDisk   = "bad-disk"   // it can't write or read
	slowdown  = "slow"
)

var ofBrokers = []string{lostAcks, notLeader, badDisk, slowdown}

// requests are those that a fault answers in its own way.
var requests = map[string][]kfake.Fault{
	lostAcks: {
		{Keys: []kmsg.Key{kmsg.Produce, kmsg.OffsetCommit}, Err: kerr.RequestTimedOut},
	},
	notLeader: {
		{Keys: []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.ListOffsets}, Err: kerr.NotLeaderForPartition},
		{Keys: []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat, kmsg.OffsetCommit}, Err: kerr.NotCoordinator},
	},
	badDisk: {
		{Keys: []kmsg.Key{kmsg.Produce, kmsg.Fetch}, Err: kerr.KafkaStorageError},
	},
}

// some is one request of three.
func some(kmsg.Request) bool { return rand.IntN(3) == 0 }

// faulty is an embedded broker that is told to fail, over HTTP: it is the
// product's but for that, which a product should not have.
type faulty struct {
	cluster *kfake.Cluster
	slow    atomic.Bool
	now     *kfake.FaultHandle
}

// serveFaulty is the process: it listens at an address, keeps its data in a
// folder, and is told at another address.
func serveFaulty(address, dir, admin string) error {
	_, portText, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return err
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
	if err != nil {
		return err
	}
	f := &faulty{cluster: cluster}
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch} {
		cluster.ControlKey(int16(key), func(kmsg.Request) (kmsg.Response, error, bool) {
			if f.slow.Load() {
				cluster.SleepControl(func() { time.Sleep(rand.N(400 * time.Millisecond)) })
			}
			return nil, nil, false
		})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /fault/{kind}", func(_ http.ResponseWriter, r *http.Request) { f.begin(r.PathValue("kind")) })
	mux.HandleFunc("DELETE /fault", func(http.ResponseWriter, *http.Request) { f.end() })
	return http.ListenAndServe(admin, mux)
}

func (f *faulty) begin(kind string) {
	f.slow.Store(kind == slowdown)
	var faults []kfake.Fault
	for _, fault := range requests[kind] {
		fault.Count, fault.When = -1, some
		faults = append(faults, fault)
	}
	f.now = f.cluster.Fault(faults...)
}

func (f *faulty) end() {
	f.slow.Store(false)
	f.now.Remove()
}

// addFaulty adds such a process, in place of Millrace's own broker.
func (c *cluster) addFaulty() error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	admin, err := freeAddress()
	if err != nil {
		return err
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dir := filepath.Join(c.dir, broker)
	c.nodes = []node{{0, address}}
	c.processes = append(c.processes, &process{
		name: broker, role: broker, dir: dir, stopBy: stopSignal, ready: readyAt(admin), faults: "http://" + admin + "/fault",
		argv: []string{program, faultyArg, address, filepath.Join(dir, "data"), admin},
	})
	return nil
}

// faultyArg makes this program the broker.
const faultyArg = "faulty-broker"

// tell tells a broker to fail, or not to.
func (p *process) tell(ctx context.Context, method, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, p.faults+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// runFaulty runs it, if this process is to be it.
func runFaulty(args []string) {
	if len(args) != 4 || args[0] != faultyArg {
		return
	}
	fmt.Fprintln(os.Stderr, serveFaulty(args[1], args[2], args[3]))
	os.Exit(1)
}
