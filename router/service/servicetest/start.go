package servicetest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a start and a stop may take. Both take a second or two on
// a machine that has nothing else to do.
const patience = time.Minute

// Service is a running service. Commands, Queries and Admin are URLs without a
// slash at the end; Kafka is the address of the broker.
type Service struct {
	Commands, Queries, Admin, Kafka string

	t        testing.TB
	dir      string
	settings []string
	cmd      *exec.Cmd
	output   output
	ended    chan struct{}
	client   *http.Client
}

// Start starts all roles of the service in one process, on free ports, with the
// data in the folder dir, and waits until the service is ready. Settings are keys
// of the configuration with values, such as "handlers.outcomes_per_stream=8".
// Whatever still runs when the test ends is killed; the output of the process is
// logged if the test failed.
func Start(t testing.TB, dir string, settings ...string) *Service {
	t.Helper()
	settings = append([]string{
		"broker.address=localhost:0", "command_service.address=localhost:0", "read_api.address=localhost:0", "admin.address=localhost:0",
	}, settings...)
	s := &Service{
		t: t, dir: dir, settings: settings, cmd: Command(t, dir, flags(settings...)...), ended: make(chan struct{}),
		client: &http.Client{Timeout: patience, Transport: new(http.Transport)},
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // ProcessState has the exit code
	}()
	t.Cleanup(s.end)
	deadline := time.After(patience)
	for {
		err := s.ready()
		if err == nil {
			return s
		}
		select {
		case <-s.ended:
			t.Fatalf("the service has ended: %s", s.cmd.ProcessState)
		case <-deadline:
			t.Fatalf("the service is not ready within %s: %v", patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// flags sets keys of the configuration on a command line.
func flags(settings ...string) (args []string) {
	for _, set := range settings {
		args = append(args, "--set", set)
	}
	return args
}

// end kills the process, and looks for faults in the output.
func (s *Service) end() {
	s.client.CloseIdleConnections()
	_ = s.cmd.Process.Kill() // the process may have ended
	<-s.ended
	text := "\n" + s.output.String()
	for _, fault := range []string{"DATA RACE", "\npanic: ", "\nfatal error: "} {
		if strings.Contains(text, fault) {
			s.t.Errorf("the service has printed %q", strings.TrimSpace(fault))
		}
	}
	if s.t.Failed() {
		s.t.Logf("the service, %s:%s", s.cmd.ProcessState, text)
	}
}

// ready says why the service is not ready yet, or nil.
func (s *Service) ready() error {
	banner, _, whole := strings.Cut(s.output.String(), "\nTry:\n")
	if !whole {
		return errors.New("there is no banner yet")
	}
	for line := range strings.Lines(banner) {
		what, where, _ := strings.Cut(strings.TrimSpace(line), " ")
		where, _, _ = strings.Cut(strings.TrimSpace(where), ",")
		switch what {
		case "commands":
			s.Commands = where
		case "queries":
			s.Queries = where
		case "admin":
			s.Admin = where
		case "kafka":
			s.Kafka = where
		}
	}
	answer, err := s.client.Get(s.Admin + "/readyz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(answer.Body)
		return errors.Join(fmt.Errorf("%s %s", answer.Status, text), err)
	}
	return nil
}

// Stop ends the service as Ctrl-C does, and waits for the end. Another exit code
// than 0 fails the test.
func (s *Service) Stop() {
	s.t.Helper()
	s.client.CloseIdleConnections()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		s.t.Fatalf("the service has not ended within %s", patience)
	}
	if !s.cmd.ProcessState.Success() {
		s.t.Errorf("the service ended with %s", s.cmd.ProcessState)
	}
}

// Kill ends the service at once, as kill -9 or a crash does.
func (s *Service) Kill() {
	s.client.CloseIdleConnections()
	_ = s.cmd.Process.Kill() // the process may have ended
	<-s.ended
}

// Run runs a command line such as "verify" beside the service, with the same data
// and settings, to its end, and returns the standard output. Another exit code
// than 0 ends the test.
func (s *Service) Run(args ...string) string {
	s.t.Helper()
	args = append(args, flags(s.settings...)...)
	args = append(args, flags("kafka.brokers="+s.Kafka, "admin.address="+strings.TrimPrefix(s.Admin, "http://"))...)
	return Run(s.t, s.dir, args...)
}

// output is the output of a process so far.
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
