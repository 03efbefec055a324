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

// The faults of a broker. Each hits some of the requests.
const (
	lostAcks  = "lost-acks"  // the broker writes, and answers with a timeout
	notLeader = "not-leader" // the broker names another leader or coordinator
	badDisk   = "bad-disk"   // the broker can't write or read
	slowdown  = "slow"
)

var ofBrokers = []string{lostAcks, notLeader, badDisk, slowdown}

// requests are the requests that a fault answers, by fault.
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

// some picks one of three requests.
func some(kmsg.Request) bool { return rand.IntN(3) == 0 }

// faulty is an embedded broker with faults that HTTP requests begin and end. The
// product's embedded broker is the same without faults.
type faulty struct {
	cluster *kfake.Cluster
	slow    atomic.Bool
	now     *kfake.FaultHandle
}

// serveFaulty runs the process of a faulty broker. The broker listens at address,
// keeps its data in dir, and takes orders to fail at admin.
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

// addFaulty adds a faulty broker, in place of Millrace's own broker.
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

// faultyArg is the argument that makes this program a faulty broker.
const faultyArg = "faulty-broker"

// tell tells a faulty broker to fail, or to stop failing.
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

// runFaulty runs a faulty broker if the arguments say so, and never returns then.
func runFaulty(args []string) {
	if len(args) != 4 || args[0] != faultyArg {
		return
	}
	fmt.Fprintln(os.Stderr, serveFaulty(args[1], args[2], args[3]))
	os.Exit(1)
}
