package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

// outageFor is how long the broker stays away: $OUTAGE, or 10 s.
func outageFor(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("OUTAGE")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal("OUTAGE is not a duration:", err)
	}
	return d
}

const (
	// comeback is how long the services may take to go on once the broker is
	// back.
	comeback = 20 * time.Second
	// outageMemory is how much memory an outage may cost a command service, in
	// KiB, with the race detector.
	outageMemory = 256 << 10
)

// The broker is killed, and later hangs, under load. Meanwhile every answer is a
// 503 with advice, or a 2xx that holds. The command service keeps its memory,
// and goes on without help.
func TestBrokerOutage(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := withBroker(t)
	outages := []struct {
		name       string
		lose, back func()
	}{
		{"killed", func() { s.broker.kill() }, func() { s.broker.start() }},
		{"hung", func() { s.broker.freeze(t) }, func() { s.broker.signal(t, syscall.SIGCONT) }},
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	clients := new(errgroup.Group)
	all := make([]*outageClient, 16)
	for i := range all {
		all[i] = &outageClient{user: fmt.Sprint("u", i), insists: i%2 == 0, waits: i%4 < 2}
		clients.Go(func() error { return all[i].work(ctx, s) })
	}
	s.waitForTaken(all)
	for _, outage := range outages {
		before := s.commandService.memory(t)
		outage.lose()
		peak := s.commandService.peakMemory(t, outageFor(t))
		unavailable := 0
		for _, c := range all {
			unavailable += int(c.unavailable.Swap(0))
		}
		outage.back()
		back := time.Now()
		s.waitForTaken(all)
		took := time.Since(back)
		t.Logf("%s for %s: %d answers 503, memory %d MiB and %d MiB before; all go on after %s",
			outage.name, outageFor(t), unavailable, peak>>10, before>>10, took.Round(time.Millisecond))
		if unavailable == 0 {
			t.Errorf("%s: nobody got a 503", outage.name)
		}
		if peak > before+outageMemory {
			t.Errorf("%s: the command service has grown from %d KiB to %d KiB", outage.name, before, peak)
		}
		if took > comeback {
			t.Errorf("%s: it took %s until all went on", outage.name, took)
		}
	}
	stop()
	if err := clients.Wait(); err != nil {
		t.Fatal(err)
	}

	history := s.history() // each id is decided once
	decided := map[string]bool{}
	for stream, records := range history {
		for _, r := range records {
			decided[stream+" "+r.CommandID] = true
			if !eventlog.IsEvent(r.Type) && r.Type != eventlog.TypeCommandUnchanged {
				t.Errorf("%s, command %s: %s %s", stream, r.CommandID, r.Type, r.Body)
			}
		}
	}
	for _, c := range all {
		for _, id := range c.taken {
			if !decided["user/"+c.user+" "+id] {
				t.Errorf("user %s: command %s got a 2xx and is lost", c.user, id)
			}
		}
	}
	s.waitForUsers(history)
	s.wantProven()
}

// Processes that must stop while the broker hangs end in time, and say which
// work is unfinished. Nothing is lost.
func TestStopWhileBrokerHangs(t *testing.T) {
	underLoad(t)
	t.Parallel()
	s := withBroker(t)
	c := s.crowd(4)
	c.waitForMore(c.customers)
	s.broker.freeze(t)
	time.Sleep(time.Second) // until commands and answers are under way
	three := []*service{s.commandService, s.queryService, s.readAPI}
	var ending sync.WaitGroup
	for _, service := range three {
		service.signal(t, syscall.SIGTERM)
		told := time.Now()
		ending.Go(func() {
			<-service.ended
			t.Logf("%s ended after %s with exit code %d", service, time.Since(told).Round(time.Millisecond), service.cmd.ProcessState.ExitCode())
		})
	}
	for _, service := range three {
		service.exit(t, 11*time.Second) // shutdown_timeout is 10 s
	}
	ending.Wait()
	for _, service := range three[:2] {
		code, said := service.cmd.ProcessState.ExitCode(), service.stderr.String()
		if code != exitOK && !strings.Contains(said, "shutdown_timeout") || !strings.Contains(said, "doesn't answer") {
			t.Errorf("%s ended with exit code %d, and doesn't say that the broker hangs", service, code)
		}
	}
	s.broker.signal(t, syscall.SIGCONT)
	for _, service := range three {
		service.start()
	}
	c.waitForMore(c.customers)
	c.proven()
}

// withBroker is terminals whose broker the test may do away with.
func withBroker(t *testing.T) *stack {
	t.Helper()
	if os.Getenv("KAFKA_BROKERS") != "" {
		t.Skip("it takes a broker that can be killed")
	}
	return terminals(t)
}

// outageClient sends commands of one user, each with an id, and remembers the
// answers.
type outageClient struct {
	user    string
	insists bool // a command is sent again until it is taken
	waits   bool // with Prefer: wait

	unavailable atomic.Int64 // answers that were 503
	count       atomic.Int64 // of taken
	taken       []string     // ids that got a 2xx
}

func (c *outageClient) work(ctx context.Context, s *stack) error {
	for n := 1; ctx.Err() == nil; n++ {
		commandType, insists := "renameUser", c.insists
		if n == 1 {
			commandType, insists = "createUser", true
		}
		id := fmt.Sprintf("%s-%d", c.user, n)
		command := fmt.Sprintf(`{"type":%q,"payload":{"id":%q,"name":"Name %d"},"id":%q}`, commandType, c.user, n, id)
		for taken := false; !taken && ctx.Err() == nil; {
			var err error
			if taken, err = c.post(s, id, command); err != nil {
				return err
			}
			if !insists {
				break
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil
}

// post sends a command once, and says whether the service took the command. An
// answer other than a 2xx and a 503 with the necessary headers is an error.
func (c *outageClient) post(s *stack, id, command string) (taken bool, err error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+s.commandService.at.Commands+"/commands", strings.NewReader(command))
	if err != nil {
		return false, err
	}
	request.Header.Set("Content-Type", "application/json")
	if c.waits {
		request.Header.Set("Prefer", "wait=1")
	}
	got, err := do(s.client, request)
	if err != nil {
		return false, err
	}
	switch got.status {
	case http.StatusOK, http.StatusAccepted:
		c.taken = append(c.taken, id)
		c.count.Add(1)
		return true, nil
	case http.StatusServiceUnavailable:
		c.unavailable.Add(1)
		var problem struct{ ID string }
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.ID != id || got.header.Get("Retry-After") == "" {
			return false, fmt.Errorf("command %s: %s %v", id, got, got.header)
		}
		return false, nil
	default:
		return false, fmt.Errorf("command %s: %s", id, got)
	}
}

// waitForTaken waits until the service has taken a new command of each client.
func (s *stack) waitForTaken(clients []*outageClient) {
	s.t.Helper()
	before := make([]int64, len(clients))
	for i, c := range clients {
		before[i] = c.count.Load() + 1 // one may be on its way
	}
	eventually(s.t, "commands are taken", func() error {
		for i, c := range clients {
			if n := c.count.Load(); n <= before[i] {
				return fmt.Errorf("user %s: %d, and %d before", c.user, n, before[i])
			}
		}
		return nil
	})
}

// memory is the process's part of the machine's memory, in KiB.
func (p *process) memory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0 // no Linux
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kib
}

// peakMemory is the largest memory within a time.
func (p *process) peakMemory(t *testing.T, within time.Duration) (peak int) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		p.mustRun(t)
		peak = max(peak, p.memory(t))
	}
	return peak
}
