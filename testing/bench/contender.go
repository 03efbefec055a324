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

// contender is something that takes commands, in a process of its own.
type contender struct {
	name string
	// start starts it, with its data in dir.
	start func(ctx context.Context, dir string) (*target, error)
}

// target is a contender at work.
type target struct {
	url     string // takes commands
	queries string // answers reads, if not ""
	// done says whether commands that create users 1 to last all show, and
	// nothing waits any more. It is nil if nothing ever shows.
	done    func(ctx context.Context, last int) (bool, error)
	process *exec.Cmd
}

var (
	bare  = contender{"bare net/http and mux", self("bare")}
	plain = contender{"plain Watermill", self("plain")}
	floor = contender{"the floor", self("floor")}
)

// served are the contenders that this program can be: each serves until the
// context ends, and says where by writing lines of a name and a URL.
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

// startProcess starts a program, and reads where it listens, until a line
// that says that these are all.
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
	go func() { _, _ = io.Copy(io.Discard, out) }() // so that it can end
	return process, urls, nil
}

// stop ends the process, and returns the processor time that it took in all.
func (t *target) stop() time.Duration {
	_ = errors.Join(t.process.Process.Signal(syscall.SIGTERM), t.process.Wait()) // it has been measured
	return t.process.ProcessState.UserTime() + t.process.ProcessState.SystemTime()
}

// drained waits until all commands show.
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
	_, _ = io.Copy(io.Discard, response.Body) // so that the connection can be used again
	return response.StatusCode, response.Body.Close()
}

// inFolder lets a contender work in a new folder, and deletes it, and what is
// on a real cluster in its name.
func inFolder(do func(dir string) error) error {
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	err = do(dir)
	return errors.Join(err, deleteLog(dir))
}
