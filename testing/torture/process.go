package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// The roles of processes: Millrace's four, and the database.
const (
	broker         = "broker"
	commandService = "command-service"
	queryService   = "query-service"
	readAPI        = "read-api"
	database       = "database"
)

var allRoles = []string{broker, database, commandService, queryService, readAPI}

// process is one process, which can end and start again.
type process struct {
	name   string
	role   string
	argv   []string
	dir    string
	ready  func(context.Context) error
	stopBy os.Signal           // asks it to end
	as     *syscall.Credential // who it runs as, nil for who runs this
	url    string              // where it serves clients, "" if it doesn't
	admin  string              // where its metrics are, "" if it has none
	log    string              // where it, an embedded broker, serves the log, "" for all others
	faults string              // where it is told to fail, "" if it can't be
	env    []string            // more of its environment
	links  []*link             // ways that can be cut: to or, of a broker, from its peers first

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
	cmd := exec.Command(p.argv[0], p.argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
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

// kill ends it as kill -9 does.
func (p *process) kill() {
	children := p.signal(syscall.SIGKILL, true)
	p.wait(time.Minute)
	for _, child := range children {
		for running(child) {
			time.Sleep(time.Millisecond) // as long as the kernel takes
		}
	}
}

// stop asks it to end, and says whether it did in time.
func (p *process) stop(within time.Duration) error {
	p.mu.Lock()
	p.wanted = false
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(p.stopBy) // it may have ended
	}
	p.mu.Unlock()
	if !p.wait(within) {
		p.kill()
		return fmt.Errorf("%s has not stopped within %s of %s", p.name, within, p.stopBy)
	}
	return nil
}

// signal sends a signal to it and to all that it started, as PostgreSQL starts
// one for each connection; ends says that it is meant to end by it. It returns
// whom it started.
func (p *process) signal(s syscall.Signal, ends bool) (children []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ends {
		p.wanted = false
	}
	if p.cmd == nil {
		return nil
	}
	select {
	case <-p.ended:
	default:
		children = childrenOf(p.cmd.Process.Pid)
		_ = p.cmd.Process.Signal(s) // it may have ended
		for _, child := range children {
			_ = syscall.Kill(child, s) // so may this
		}
	}
	return children
}

// pid is that of its life now, 0 between two.
func (p *process) pid() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	select {
	case <-p.ended:
		return 0
	default:
		return p.cmd.Process.Pid
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

// waitUntilReady waits until it says that it is.
func (p *process) waitUntilReady(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	why := errors.New("never asked")
	for ctx.Err() == nil {
		if err := p.ready(ctx); err == nil {
			return nil
		} else if ctx.Err() == nil {
			why = err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return fmt.Errorf("%s is not ready after %s: %w", p.name, patience, why)
}
