package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// contender is a program for commands, in a process of its own.
type contender struct {
	name string
	// start starts the contender, with its data in dir.
	start func(ctx context.Context, dir string) (*target, error)
}

// target is a contender at work.
type target struct {
	url     string // for commands
	queries string // for reads, "" for none
	// done says whether users 1 to last are all visible, and no command waits. done
	// is nil for a contender without a read model.
	done    func(ctx context.Context, last int) (bool, error)
	process *exec.Cmd
}

var (
	bare  = contender{"bare net/http and mux", self("bare")}
	plain = contender{"plain Watermill", self("plain")}
	floor = contender{"the floor", self("floor")}
)

// served are the contenders in this program, by name. A contender writes lines of a
// name and a URL, and serves until the context ends.
var served = map[string]func(ctx context.Context, dir string, out io.Writer) error{
	"bare":       serveBare,
	"plain":      servePlain,
	"floor":      serveFloor,
	"far-broker": serveFarBroker,
}

func serveContender(ctx context.Context, name string) error {
	serve := served[name]
	if serve == nil {
		return fmt.Errorf("no contender %q", name)
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	return serve(ctx, dir, os.Stdout)
}

// self starts this program again, as a contender.
func self(name string) func(context.Context, string) (*target, error) {
	return func(ctx context.Context, dir string) (*target, error) {
		binary, err := os.Executable()
		if err != nil {
			return nil, err
		}
		process, urls, err := startProcess(ctx, dir, "", binary, "-serve", name)
		if err != nil {
			return nil, err
		}
		t := &target{url: urls["commands"], queries: urls["queries"], process: process}
		if done, ok := urls["done"]; ok {
			t.done = func(ctx context.Context, last int) (bool, error) {
				status, err := get(ctx, fmt.Sprintf("%s?last=%d", done, last))
				return status == http.StatusOK, err
			}
		}
		return t, nil
	}
}

// startProcess starts a program, and reads lines of a name and a URL from its output,
// up to the line last.
func startProcess(ctx context.Context, dir, last, binary string, args ...string) (*exec.Cmd, map[string]string, error) {
	process := exec.CommandContext(ctx, binary, args...)
	process.Dir, process.Stderr = dir, os.Stderr
	process.Cancel = func() error { return process.Process.Signal(syscall.SIGTERM) }
	out, err := process.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := process.Start(); err != nil {
		return nil, nil, err
	}
	urls := map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != last {
		if what, where, ok := strings.Cut(strings.TrimSpace(lines.Text()), " "); ok {
			urls[what] = strings.TrimSpace(where)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // a full pipe would block the process
	return process, urls, nil
}

// stop ends the process, and returns the processor time of its life.
func (t *target) stop() time.Duration {
	_ = errors.Join(t.process.Process.Signal(syscall.SIGTERM), t.process.Wait()) // all is measured
	return t.process.ProcessState.UserTime() + t.process.ProcessState.SystemTime()
}

// drained waits until done is true.
func (t *target) drained(ctx context.Context, last int) error {
	for t.done != nil {
		done, err := t.done(ctx, last)
		if err != nil {
			return err
		}
		if done {
			break
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func get(ctx context.Context, url string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	_, _ = io.Copy(io.Discard, response.Body) // keeps the connection
	return response.StatusCode, response.Body.Close()
}

// inFolder calls do with a new folder. Afterwards the folder is deleted, with its
// topics and groups on a real cluster.
func inFolder(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	err = do(dir)
	return errors.Join(err, deleteLog(dir))
}
