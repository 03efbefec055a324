package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopSignal asks most processes to end.
const stopSignal = syscall.SIGTERM

// programs are the places of the servers' programs.
type programs struct {
	kafka    string // a folder of jars
	postgres string // a folder of programs
}

// findPrograms asks testing/real/servers, which installs missing programs.
func findPrograms(ctx context.Context) (programs, error) {
	cmd := exec.CommandContext(ctx, "testing/real/servers", "programs")
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		return programs{}, fmt.Errorf("testing/real/servers programs: %w", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		return programs{}, fmt.Errorf("testing/real/servers programs says %q", out)
	}
	return programs{lines[0], lines[1]}, nil
}

// readyAt asks /readyz of an admin address.
func readyAt(admin string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/readyz", nil)
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
}
