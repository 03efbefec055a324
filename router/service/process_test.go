package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// settings are configuration keys with their values, and the variables of
// [testDomain], which begin with TEST_.
type settings map[string]string

// with is a copy with other settings added.
func (s settings) with(others settings) settings {
	all := settings{}
	for _, from := range []settings{s, others} {
		for key, value := range from {
			all[key] = value
		}
	}
	return all
}

// environ is the environment of this process without settings of a service, plus
// these settings.
func (s settings) environ() []string {
	const prefix = "MILLRACE_"
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, prefix) })
	env = append(env, goRace)
	for key, value := range s {
		name := prefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
		if strings.HasPrefix(key, "TEST_") {
			name = key
		}
		env = append(env, name+"="+value)
	}
	return env
}

// goRace keeps the race detector from sleeping a second before each exit.
const goRace = "GORACE=atexit_sleep_ms=0"

// process is a process of the program.
type process struct {
	cmd    *exec.Cmd
	stdout output
	stderr output
	ended  chan struct{}
	at     Addresses // from the banner
}

// launch starts the program. The process ends with the test. If the test failed,
// the log of the process is shown.
func launch(t *testing.T, set settings, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command("app", args...), ended: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = set.environ()
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // the exit code stands in ProcessState
	}()
	t.Cleanup(func() {
		p.kill()
		for _, broken := range []string{"DATA RACE", "\npanic: ", "\nfatal error: "} {
			if strings.Contains("\n"+p.stderr.String(), broken) {
				t.Errorf("there is a %q in what the process logged", strings.TrimSpace(broken))
			}
		}
		if t.Failed() {
			t.Logf("app %s, process %d: %s\n%s%s", strings.Join(args, " "), p.cmd.Process.Pid, p.cmd.ProcessState, &p.stdout, &p.stderr)
		}
	})
	return p
}

// waitForBanner waits until the process has printed the addresses.
func (p *process) waitForBanner(t *testing.T) {
	t.Helper()
	eventually(t, "the banner", func() error {
		ended := p.hasEnded() // before the banner is read: the process may end soon after
		if at, whole := parseBanner(p.stdout.String()); whole {
			p.at = at
			return nil
		}
		if ended {
			t.Fatalf("the process has ended without a banner: %s", p.cmd.ProcessState)
		}
		return errors.New("there is none yet")
	})
}

// parseBanner reads the addresses in the banner.
func parseBanner(text string) (at Addresses, whole bool) {
	places, _, whole := strings.Cut(text, "\nTry:\n")
	for line := range strings.Lines(places) {
		what, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		where = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(where), "http://"), "https://")
		switch what {
		case "commands":
			at.Commands = where
		case "queries":
			at.Queries = where
		case "admin":
			at.Admin = where
		case "kafka":
			if address, _, embedded := strings.Cut(where, ", embedded"); embedded {
				at.Broker = address
			}
		}
	}
	return at, whole
}

// waitUntilReady waits for /readyz to say so.
func (p *process) waitUntilReady(t *testing.T) {
	t.Helper()
	eventually(t, "ready", func() error {
		p.mustRun(t)
		return p.ready()
	})
}

// ready says why the process is not ready, or nil.
func (p *process) ready() error {
	got, err := send(http.DefaultClient, http.MethodGet, "http://"+p.at.Admin+"/readyz", "", "")
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return errors.New(got.body)
	}
	return nil
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// mustRun fails the test at once if the process has ended.
func (p *process) mustRun(t *testing.T) {
	t.Helper()
	if p.hasEnded() {
		t.Fatalf("the process has ended: %s", p.cmd.ProcessState)
	}
}

func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// freeze stops the process, and returns when all threads have stopped. The other
// threads go on until the thread with the signal has had its turn.
func (p *process) freeze(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(p.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err == nil && status.Stopped() {
			return
		} else if !errors.Is(err, syscall.EINTR) {
			t.Fatalf("freeze: %v, status %#x", err, status)
		}
	}
}

// kill ends the process as kill -9 does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// exit waits for the process to end by itself, and returns its exit code.
func (p *process) exit(t *testing.T, within time.Duration) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		t.Fatalf("the process has not ended within %s", within)
	}
	return p.cmd.ProcessState.ExitCode()
}

// output is the output of a process so far.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// patience is how long a step may take. A step takes a second or two, but longer
// on a busy machine, and with a consumer group that waits for a dead member.
const patience = 45 * time.Second

// eventually tries until an attempt works, and ends the test if none does.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	if err := retry(t.Context(), try); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// retry tries until an attempt works, for as long as patience lasts.
func retry(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("gave up: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// underLoad skips a test of whole processes under load with -short: with the
// race detector the processes are ten times slower, and never catch up. make
// test-all runs these tests without the race detector: the Makefile lists them,
// see TestUnderLoad of testing/house.
func underLoad(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("whole processes under load")
	}
}
