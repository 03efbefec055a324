package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// process is one process of the program, which can end and start again.
type process struct {
	name   string
	role   string
	binary string
	dir    string
	set    map[string]string
	admin  string
	url    string // where it serves clients, "" if it doesn't
	link   *link  // its way to Kafka, nil for the broker
	store  *link  // its way to PostgreSQL, nil without

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	wanted  bool // it is meant to run
	crashes []string
}

// start starts it. It logs to a file of its own, all its lives in one.
func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := os.MkdirAll(p.dir, 0o750); err != nil {
		return err
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.binary, append([]string{"serve"}, p.args()...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	if err := cmd.Start(); err != nil {
		return errors.Join(fmt.Errorf("start %s: %w", p.name, err), log.Close())
	}
	ended := make(chan struct{})
	p.cmd, p.ended, p.wanted = cmd, ended, true
	go func() {
		defer close(ended)
		_ = cmd.Wait() // its state says how it ended
		_ = log.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.wanted && p.cmd == cmd {
			p.crashes = append(p.crashes, fmt.Sprintf("%s ended by itself, %s: see %s", p.name, cmd.ProcessState, p.logFile()))
		}
	}()
	return nil
}

func (p *process) logFile() string { return filepath.Join(p.dir, "log") }

func (p *process) args() []string { return settings(p.set) }

// settings are flags that set keys.
func settings(set map[string]string) []string {
	var args []string
	for key, value := range set {
		args = append(args, "--set", key+"="+value)
	}
	return args
}

// kill ends it as kill -9 does.
func (p *process) kill() {
	p.signal(syscall.SIGKILL, true)
	p.wait(time.Minute)
}

// stop asks it to end, and says whether it did in time.
func (p *process) stop(within time.Duration) error {
	p.signal(syscall.SIGTERM, true)
	if !p.wait(within) {
		p.kill()
		return fmt.Errorf("%s has not stopped within %s of SIGTERM", p.name, within)
	}
	return nil
}

// signal sends a signal; ends says that the process is meant to end by it.
func (p *process) signal(s os.Signal, ends bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ends {
		p.wanted = false
	}
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(s) // it may have ended
	}
}

func (p *process) wait(within time.Duration) bool {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	if ended == nil {
		return true
	}
	select {
	case <-ended:
		return true
	case <-time.After(within):
		return false
	}
}

// crashed is how often, and how, it ended by itself.
func (p *process) crashed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashes
}

// waitUntilReady waits for /readyz.
func (p *process) waitUntilReady(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	why := errors.New("never asked")
	for ctx.Err() == nil {
		if why = p.ready(ctx); why == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s is not ready after %s: %w", p.name, patience, why)
}

func (p *process) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(string(body))
	}
	return err
}
