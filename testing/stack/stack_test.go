// Package stack tests the promises of docker-compose.yml on a container engine: make
// stack-test. The tests use a project, ports and volumes of their own, and delete
// containers and volumes in the end.
package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// environment keeps the stack of the tests apart from a running stack.
var environment = []string{
	"COMPOSE_PROJECT_NAME=millrace-test", "MILLRACE_VERSION=test",
	"KAFKA_PORT=23092", "POSTGRES_PORT=23432",
	"COMMAND_PORTS=23101-23102", "QUERY_PORTS=23103-23104", "READ_PORTS=23105-23106",
}

// The containers may have any port of their range.
var (
	commandURLs = []string{"http://127.0.0.1:23101", "http://127.0.0.1:23102"}
	readURLs    = []string{"http://127.0.0.1:23105", "http://127.0.0.1:23106"}
)

// Containers are killed with -9 while clients send commands: single containers, and
// one of two. Each accepted command is decided once, in order, and in the read
// model.
func TestNothingAcceptedIsLost(t *testing.T) {
	if os.Getenv("STACK_TEST") == "" {
		t.Skip("needs a container engine: make stack-test")
	}
	up(t)
	clients := start(t)
	clients.waitForMore(t)

	for _, service := range []string{"command-service", "query-service", "read-api", "kafka", "postgres"} {
		compose(t, "kill", "--signal", "KILL", service)
		t.Logf("%s is killed", service)
		compose(t, "up", "--wait", "--no-deps", "--no-recreate", service)
		clients.waitForMore(t)
	}

	services := []string{"command-service", "query-service", "read-api"}
	scale := []string{"up", "--wait", "--no-recreate"}
	for _, service := range services {
		scale = append(scale, "--scale", service+"=2")
	}
	compose(t, scale...)
	clients.waitForMore(t)
	for _, service := range services {
		one := strings.Fields(compose(t, "ps", "--quiet", service))
		if len(one) != 2 {
			t.Fatalf("%s: %d containers, want 2", service, len(one))
		}
		run(t, "docker", "kill", one[0])
		t.Logf("one of two of %s is killed", service)
		clients.waitForMore(t) // the other goes on
		compose(t, scale...)
	}

	clients.stop(t)
	clients.check(t)
	t.Log(compose(t, "run", "--rm", "--no-deps", "query-service", "verify"))
}

// up starts the stack from nothing, and runs setup a second time.
func up(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { compose(t, "down", "--volumes", "--remove-orphans") })
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s%s", compose(t, "ps", "--all"), compose(t, "logs", "--tail", "40"))
		}
	})
	compose(t, "down", "--volumes", "--remove-orphans")
	compose(t, "up", "--build", "--wait")
	t.Log(compose(t, "run", "--rm", "--no-deps", "setup"))
}

// stepTimeout is far longer than any step.
const stepTimeout = 5 * time.Minute

// compose runs docker compose, and returns the output.
func compose(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, "docker", append([]string{"compose"}, args...)...)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	// run runs in clean-up too, when the test's context is over.
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), environment...)
	var errorOutput bytes.Buffer
	cmd.Stderr = &errorOutput
	printed, err := cmd.Output()
	if err != nil {
		t.Fatal(fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, printed, &errorOutput))
	}
	return string(printed)
}
