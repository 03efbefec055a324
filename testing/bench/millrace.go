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
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// startMillrace starts bin/millrace, all roles in one process.
func startMillrace(ctx context.Context, dir string) (at target, err error) {
	binary, err := filepath.Abs(filepath.Join("bin", "millrace"))
	if err != nil {
		return at, err
	}
	args := []string{"--set", "log.level=error"}
	for _, address := range []string{"broker", "command_service", "read_api", "admin"} {
		args = append(args, "--set", address+".address=localhost:0")
	}
	process := exec.CommandContext(ctx, binary, args...)
	process.Dir, process.Stderr = dir, os.Stderr
	out, err := process.StdoutPipe()
	if err != nil {
		return at, err
	}
	if err := process.Start(); err != nil {
		return at, fmt.Errorf("%w (make build first)", err)
	}
	urls := map[string]string{}
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "Try:" {
		if what, where, ok := strings.Cut(strings.TrimSpace(lines.Text()), " "); ok {
			urls[what] = strings.TrimSpace(where)
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }() // so that it can end
	if err := ready(ctx, urls["admin"]); err != nil {
		return at, err
	}
	return target{
		url: urls["commands"] + "/commands",
		done: func(last int) (bool, error) {
			status, err := get(ctx, fmt.Sprintf("%s/users/%d", urls["queries"], last))
			return status == http.StatusOK && ready(ctx, urls["admin"]) == nil, err
		},
		stop: func() {
			_ = errors.Join(process.Process.Signal(syscall.SIGTERM), process.Wait()) // it has been measured
		},
	}, nil
}

// ready waits until the process says that nothing waits in it.
func ready(ctx context.Context, admin string) error {
	for {
		status, err := get(ctx, admin+"/readyz")
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
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
	return response.StatusCode, response.Body.Close()
}
