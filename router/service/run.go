package service

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Main is the program: it runs the command line of a service, and
// returns the exit code.
func Main(d Domain) int {
	kept := ballast()
	code := run(d, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	runtime.KeepAlive(kept)
	return code
}

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // of the configuration too
)

// doubled is how long after the first a second signal is the same one.
const doubled = 200 * time.Millisecond

// run is the program, without its process: for tests.
func run(d Domain, args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := untilSignal(stderr)
	defer stop()
	return command(ctx, d, args, environ, stdout, stderr)
}

// untilSignal returns a context that SIGINT or SIGTERM ends. A second one
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
		// What stops a process and its group sends the first one twice.
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
