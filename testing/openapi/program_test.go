package openapi

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// top is the top of the tree, seen from here.
const top = "../.."

// patience is how long a start may take on a busy machine.
const patience = 90 * time.Second

// program is the shipped program, built from the tree.
var program string

func TestMain(m *testing.M) { os.Exit(withProgram(m.Run)) }

// withProgram runs the tests with a program of their own.
func withProgram(run func() int) (code int) {
	dir, err := os.MkdirTemp("", "millrace-openapi-")
	if err == nil {
		program = filepath.Join(dir, "app")
		err = build()
	}
	if err == nil {
		code = run()
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// build builds the program, with the race detector if the tests have the race
// detector.
func build() error {
	args := []string{"build", "-o", program}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./app")...)
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

// settings are configuration keys with their values.
type settings map[string]string

// service is a running service, with the addresses of its banner.
type service struct {
	commands, queries, admin string // host:port
	output                   *output
	ended                    chan struct{}
}

// start starts a service with all roles on free ports, and waits until the
// service is ready. With $KAFKA_BROKERS and $POSTGRES_URL the service works on
// these servers, and has all roles but the broker.
func start(t *testing.T, more settings) *service {
	t.Helper()
	set := settings{}
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		set["roles"] = "command-service,query-service,read-api"
		set["kafka.brokers"], set["kafka.topic_prefix"] = brokers, topicPrefix(t, brokers)
	}
	if server := os.Getenv("POSTGRES_URL"); server != "" {
		set["store.driver"], set["store.postgres.url"] = "postgres", newSchema(t, server)
	}
	for key, value := range more {
		set[key] = value
	}
	s := launch(t, set)
	eventually(t, func() error {
		ready, err := http.Get("http://" + s.admin + "/readyz")
		if err != nil {
			return err
		}
		defer ready.Body.Close()
		if ready.StatusCode != http.StatusOK {
			return errors.New(ready.Status)
		}
		return nil
	})
	return s
}

// launch starts a service on free ports, and waits for its banner.
func launch(t *testing.T, set settings) *service {
	t.Helper()
	cmd := command("--set", "data_dir="+filepath.Join(t.TempDir(), "data"), "--set", "broker.address=localhost:0",
		"--set", "command_service.address=localhost:0", "--set", "read_api.address=localhost:0",
		"--set", "read_api.public_url=http://localhost:3002", "--set", "admin.address=localhost:0")
	for key, value := range set {
		cmd.Args = append(cmd.Args, "--set", key+"="+value)
	}
	s := &service{output: new(output), ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = s.output, s.output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = cmd.Wait() // the exit code stands in ProcessState
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL) // the process may have ended
		<-s.ended
		said := "\n" + s.output.String()
		for _, broken := range []string{"DATA RACE", "\npanic: ", "\nfatal error: "} {
			if strings.Contains(said, broken) {
				t.Errorf("the service logged a %q", strings.TrimSpace(broken))
			}
		}
		if t.Failed() {
			t.Logf("the service: %s%s", cmd.ProcessState, said)
		}
	})
	eventually(t, s.readBanner)
	return s
}

// command is the program with these arguments, without the configuration of
// whoever runs the tests.
func command(args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "MILLRACE_") })
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// readBanner takes the addresses from the banner, once the banner is whole.
func (s *service) readBanner() error {
	select {
	case <-s.ended:
		return errors.New("the service has ended")
	default:
	}
	banner, _, whole := strings.Cut(s.output.String(), "\nTry:\n")
	if !whole {
		return errors.New("there is no banner")
	}
	for line := range strings.Lines(banner) {
		role, url, _ := strings.Cut(strings.TrimSpace(line), " ")
		address := strings.TrimPrefix(strings.TrimSpace(url), "http://")
		switch role {
		case "commands":
			s.commands = address
		case "queries":
			s.queries = address
		case "admin":
			s.admin = address
		}
	}
	return nil
}

// eventually tries until an attempt works, and ends the test when patience does.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// output is the output of a process, as the process writes.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
