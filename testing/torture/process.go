package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// process is a process of the cluster. A process can end and start again.
type process struct {
	name   string
	role   string
	argv   []string
	dir    string
	ready  func(context.Context) error
	stopBy os.Signal                   // asks the process to end
	as     *syscall.Credential         // the user to run as; nil for the user of torture
	url    string                      // the address for clients, "" for none
	admin  string                      // the admin address, "" for none
	log    string                      // the address of an embedded broker, "" for other processes
	faults string                      // the URL that begins and ends faults of a broker, "" for none
	env    []string                    // more environment variables
	forget func(context.Context) error // deletes the offsets of the role; nil if the role can't
	links  []*link                     // links to cut: to servers; of a node of Kafka, from its peers

	mu      sync.Mutex
	cmd     *exec.Cmd
	ended   chan struct{}
	wanted  bool // false if the process is meant to end
	crashes []string
}

// start starts the process. All lives of a process log to one file.
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
		_ = cmd.Wait() // ProcessState has the exit code
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

// kill ends the process as kill -9 does.
func (p *process) kill() {
	children := p.signal(syscall.SIGKILL, true)
	p.wait(time.Minute)
	for _, child := range children {
		for running(child) {
			time.Sleep(time.Millisecond) // the kernel takes a moment
		}
	}
}

// stop asks the process to end. If the process takes longer, stop kills the
// process and returns an error.
func (p *process) stop(within time.Duration) error {
	p.mu.Lock()
	p.wanted = false
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(p.stopBy) // the process may have ended
	}
	p.mu.Unlock()
	if !p.wait(within) {
		p.kill()
		return fmt.Errorf("%s has not stopped within %s of %s", p.name, within, p.stopBy)
	}
	return nil
}

// signal sends a signal to the process and its children, and returns the children:
// PostgreSQL has a child for each connection. ends says that the signal is meant to
// end the process.
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
		_ = p.cmd.Process.Signal(s) // the process may have ended
		for _, child := range children {
			_ = syscall.Kill(child, s) // the child may have ended
		}
	}
	return children
}

// pid is the process id, 0 for no running process.
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

// crashed has a line for each time the process ended by itself.
func (p *process) crashed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.crashes
}

// waitUntilReady waits until the process is ready.
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

// childrenOf are the running children of a process.
func childrenOf(pid int) (children []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if _, parent, ok := stateOf(child); ok && parent == pid {
			children = append(children, child)
		}
	}
	return children
}

// running says whether a process runs. An ended process without a waiting parent
// (state Z) holds nothing, and counts as not running.
func running(pid int) bool {
	state, _, ok := stateOf(pid)
	return ok && state != 'Z'
}

// stateOf reads the state and the parent of a process.
func stateOf(pid int) (state rune, parent int, ok bool) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, false // the process is gone
	}
	// "pid (name) state parent …": a name may have parentheses and spaces.
	_, err = fmt.Sscanf(string(stat[bytes.LastIndexByte(stat, ')')+1:]), " %c %d", &state, &parent)
	return state, parent, err == nil
}
