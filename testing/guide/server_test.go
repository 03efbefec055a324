package guide

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// serving are the commands that run until somebody stops the process.
var serving = []string{"./hello", "go run .", "go run ./app", "go run ./app --set publish=user", "make run"}

// server is a running service.
type server struct {
	cmd     *exec.Cmd
	goRun   bool
	output  output
	ended   chan struct{}
	broker  string
	changes []string // the addresses of the document, and those of this service
}

// documented are the addresses in documents, by the word in the banner.
var documented = map[string]string{"commands": "localhost:3001", "queries": "localhost:3002", "admin": "localhost:3003", "kafka": "localhost:9092"}

var bannerLine = regexp.MustCompile(`(?m)^ +(commands|queries|admin|kafka) +(?:http://)?([^ ,\n]+)`)

// serve starts the service in a terminal of its own. A service that runs is
// stopped before, as with Ctrl-C.
func (r *reader) serve(command string) error {
	if err := r.stop(); err != nil {
		return err
	}
	if command == "make run" { // Ctrl-C makes make fail
		recipe, err := r.shell("make --dry-run run")
		if err != nil {
			return err
		}
		command = strings.TrimSpace(recipe)
	}
	s := &server{cmd: exec.Command("sh", "-c", "exec "+command), goRun: strings.HasPrefix(command, "go run"), ended: make(chan struct{})}
	s.cmd.Dir = r.folder
	s.cmd.Env = append(environ(), "MILLRACE_BROKER_ADDRESS=localhost:0", "MILLRACE_COMMAND_SERVICE_ADDRESS=localhost:0",
		"MILLRACE_READ_API_ADDRESS=localhost:0", "MILLRACE_ADMIN_ADDRESS=localhost:0")
	if strings.HasPrefix(command, "go run ./app") { // in the clone
		s.cmd.Dir = r.checkout
		s.cmd.Env = append(s.cmd.Env, "MILLRACE_DATA_DIR="+filepath.Join(r.folder, "data"))
	}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // go run starts a process of its own
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // the exit code stands in ProcessState
	}()
	r.t.Cleanup(func() {
		select {
		case <-s.ended:
		default:
			_ = syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
			<-s.ended
		}
		if r.t.Failed() {
			r.t.Logf("the service:\n%s", s.output.String())
		}
	})
	r.server = s
	return eventually(r.t.Context(), s.ready)
}

// ready reads the addresses from the banner, and asks whether the service is
// ready.
func (s *server) ready() error {
	at := map[string]string{}
	for _, line := range bannerLine.FindAllStringSubmatch(s.output.String(), -1) {
		at[line[1]] = line[2]
	}
	if len(at) < 4 {
		return errors.New("there is no banner")
	}
	s.broker, s.changes = at["kafka"], nil
	for what, address := range documented {
		s.changes = append(s.changes, address, at[what])
	}
	answer, err := http.Get("http://" + at["admin"] + "/readyz")
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the service is not ready: %s", answer.Status)
	}
	return nil
}

// stop stops the service as Ctrl-C does.
func (r *reader) stop() error {
	if r.server == nil {
		return nil
	}
	s := r.server
	r.server = nil
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		return err
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		return errors.New("the service has not ended")
	}
	// After Ctrl-C, go run says 1 whatever its program says.
	if code := s.cmd.ProcessState.ExitCode(); code != 0 && !s.goRun {
		return fmt.Errorf("the service ended with exit code %d", code)
	}
	return nil
}

// output is what a process writes, as it comes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
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

// patience is how long something may take that takes a second or two.
const patience = time.Minute

// eventually tries until an attempt works, for as long as patience lasts.
func eventually(ctx context.Context, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
