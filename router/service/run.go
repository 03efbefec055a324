package service

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Main runs the command line of a service, in os.Args, and returns the exit
// code: 0 for success, 1 for a failure, 2 if the configuration or the command
// line is wrong. See [Domain] for the parts of a service.
func Main(d Domain) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go giveBack(ctx)
	defer boundGarbage()()
	return run(d, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // of the configuration too
)

// doubled is how long after the first signal a second signal counts as the same.
const doubled = 200 * time.Millisecond

// run is Main without the globals of the process, for tests.
func run(d Domain, args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(stderr)
	defer stop()
	return command(ctx, d, args, environ, stdout, stderr)
}

// untilSignal returns a context that ends at SIGINT or SIGTERM. A second signal
// ends the process at once.
func untilSignal(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
			return
		}
		// A terminal or a supervisor may signal both the process and its group.
		early := time.After(doubled)
		for {
			select {
			case <-early:
				early = nil
			case s, ok := <-signals:
				if !ok {
					return
				}
				if early == nil {
					fmt.Fprintf(stderr, "%s again: ending at once\n", s)
					os.Exit(exitFailed)
				}
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
		close(signals)
	}
}
