package main

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// millrace is bin/millrace with all roles in one process, and with settings
// (key=value) beside the defaults. On a real cluster the role broker is left out.
func millrace(settings ...string) contender {
	return contender{"Millrace", func(ctx context.Context, dir string) (*target, error) {
		return startMillrace(ctx, dir, settings...)
	}}
}

// shippedBinary is bin/millrace.
func shippedBinary() (string, error) { return filepath.Abs(filepath.Join("bin", "millrace")) }

// startMillrace starts bin/millrace.
func startMillrace(ctx context.Context, dir string, settings ...string) (*target, error) {
	binary, err := shippedBinary()
	if err != nil {
		return nil, err
	}
	return startBuild(ctx, dir, binary, settings...)
}

// startBuild starts a build of Millrace, from an absolute path, and waits until the
// process is ready.
func startBuild(ctx context.Context, dir, binary string, settings ...string) (*target, error) {
	t, err := startUnready(ctx, dir, binary, settings...)
	if err != nil {
		return nil, err
	}
	return t, ready(ctx, t.urls["admin"])
}

// startUnready starts a build of Millrace, and waits for nothing.
func startUnready(ctx context.Context, dir, binary string, settings ...string) (*target, error) {
	args := []string{"--set", "log.level=error"}
	for _, address := range []string{"broker", "command_service", "read_api", "admin"} {
		args = append(args, "--set", address+".address=localhost:0")
	}
	if k := logIn(dir); k.Brokers != nil {
		settings = append(settings, "kafka.brokers="+strings.Join(k.Brokers, ","), "kafka.topic_prefix="+k.Prefix)
		if !slices.ContainsFunc(settings, func(s string) bool { return strings.HasPrefix(s, "roles=") }) {
			settings = append(settings, "roles=command-service,query-service,read-api")
		}
	}
	for _, setting := range settings {
		args = append(args, "--set", setting)
	}
	process, urls, err := startProcess(ctx, dir, "Try:", binary, args...)
	if err != nil {
		return nil, fmt.Errorf("%w (make build first)", err)
	}
	return &target{
		urls: urls, commands: urls["commands"] + "/commands", queries: urls["queries"], metrics: urls["admin"] + "/metrics",
		// A ready process has no waiting command or record.
		done: func(ctx context.Context, last int) (bool, error) {
			status, err := get(ctx, fmt.Sprintf("%s/users/%d", urls["queries"], last))
			return status == http.StatusOK && ready(ctx, urls["admin"]) == nil, err
		},
		process: process,
	}, nil
}

// ready waits until the process is ready.
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

// logAt is the log of a running Millrace in dir.
func logAt(dir string, t *target) *kafka.Kafka {
	k := logIn(dir)
	if k.Brokers == nil {
		embedded, _, _ := strings.Cut(t.urls["kafka"], ",") // the folder stands behind the comma
		k.Brokers = []string{embedded}
	}
	return k
}
