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
	urls     map[string]string // all that the process has written
	commands string            // for POST
	queries  string            // for reads, without the path; "" for none
	metrics  string            // for allocations, "" for none
	// done says whether users 1 to last are all visible, and no command waits. done
	// is nil for a contender without a read model.
	done    func(ctx context.Context, last int) (bool, error)
	process *exec.Cmd
	users   int64 // created so far, by runs at a fixed rate
}

var (
	bare        = contender{"bare net/http and mux", self("bare")}
	plain       = contender{"plain Watermill", self("plain")}
	plainSQLite = contender{"plain Watermill, SQLite", self("plain-sqlite")}
	floorSarama = contender{"the floor, sarama", self("floor-sarama")}
	floorLinger = contender{"the floor, sarama with a linger", self("floor-linger")}
	floorFranz  = contender{"the floor, franz-go", self("floor-franz")}
)

// served are the contenders in this program, by name. A contender writes lines of a
// name and a URL, and serves until the context ends.
var served = map[string]func(ctx context.Context, dir string, out io.Writer) error{
	"bare":         serveBare,
	"plain":        func(ctx context.Context, dir string, out io.Writer) error { return servePlain(ctx, dir, out, false) },
	"plain-sqlite": func(ctx context.Context, dir string, out io.Writer) error { return servePlain(ctx, dir, out, true) },
	"floor-sarama": serveFloor(newSarama(0)),
	"floor-linger": serveFloor(newSarama(saramaLinger)),
	"floor-franz":  serveFloor(newFranz),
	"far-broker":   serveFarBroker,
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
		t := &target{urls: urls, commands: urls["commands"], queries: urls["queries"], metrics: urls["metrics"], process: process}
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

// stop ends the process.
func (t *target) stop() {
	_ = errors.Join(t.process.Process.Signal(syscall.SIGTERM), t.process.Wait()) // all is measured
}

// together starts contenders, each with a folder of its own, and calls do while all
// run.
func together(ctx context.Context, contenders []contender, do func([]*target) error) error {
	if len(contenders) == 0 {
		return do(nil)
	}
	return inFolder(func(dir string) error {
		t, err := contenders[0].start(ctx, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", contenders[0].name, err)
		}
		defer t.stop()
		return together(ctx, contenders[1:], func(others []*target) error { return do(append([]*target{t}, others...)) })
	})
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
