package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the service: a test starts itself once more.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SERVICE") != "" {
		main()
	}
	os.Exit(m.Run())
}

// running is a running service, with the addresses of its banner.
type running struct {
	t                        *testing.T
	data                     string
	commands, queries, admin string
	broker                   string
	stop                     func()
}

// command is the service's program with these arguments.
func command(t *testing.T, data string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, append(args, "--set", "data_dir="+data)...)
	cmd.Env = append(os.Environ(), "BE_THE_SERVICE=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

// start starts the service on free ports, and waits until the service is ready.
func start(t *testing.T, data string) *running {
	t.Helper()
	output := filepath.Join(t.TempDir(), "output")
	file, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	cmd := command(t, data, "--set", "broker.address=localhost:0", "--set", "command_service.address=localhost:0",
		"--set", "read_api.address=localhost:0", "--set", "admin.address=localhost:0")
	cmd.Stdout, cmd.Stderr = file, file
	if err := errors.Join(cmd.Start(), file.Close()); err != nil {
		t.Fatal(err)
	}
	s := &running{t: t, data: data, stop: func() {
		_ = cmd.Process.Signal(os.Interrupt) // the process may have ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the service: %v", err)
		}
	}}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(output); err == nil && t.Failed() {
			t.Logf("%s", text)
		}
	})
	eventually(t, func() error { return s.isReady(output) })
	return s
}

var bannerLine = regexp.MustCompile(`(?m)^ +(commands|queries|admin|kafka) +([^ ,\n]+)`)

// isReady reads the banner, and asks whether the service is ready.
func (s *running) isReady(output string) error {
	banner, err := os.ReadFile(output)
	if err != nil {
		return err
	}
	for _, line := range bannerLine.FindAllStringSubmatch(string(banner), -1) {
		switch line[1] {
		case "commands":
			s.commands = line[2]
		case "queries":
			s.queries = line[2]
		case "admin":
			s.admin = line[2]
		case "kafka":
			s.broker = line[2]
		}
	}
	if s.broker == "" {
		return errors.New("there is no banner")
	}
	ready, err := http.Get(s.admin + "/readyz")
	if err != nil {
		return err
	}
	defer ready.Body.Close()
	if ready.StatusCode != http.StatusOK {
		return errors.New(ready.Status)
	}
	return nil
}

// eventually tries until an attempt works.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// ask sends a request, with headers as pairs, and returns the headers of the
// answer. The answer must have this status, and this text in the body.
func (s *running) ask(method, url, body string, status int, contains string, headers ...string) http.Header {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.StatusCode != status || !strings.Contains(string(text), contains) {
		s.t.Fatalf("%s %s %s: %d %s\nwant %d %s", method, url, body, answer.StatusCode, text, status, contains)
	}
	return answer.Header
}

// send sends a command, waits for the outcome, and returns the position of the
// outcome.
func (s *running) send(body string, status int, contains string) string {
	s.t.Helper()
	answer := s.ask(http.MethodPost, s.commands+"/commands", body, status, contains, "Content-Type", "application/json", "Prefer", "wait=30")
	return answer.Get("Position")
}

// get asks the read API for everything up to a position.
func (s *running) get(path, after, contains string) {
	s.t.Helper()
	s.ask(http.MethodGet, s.queries+path, "", http.StatusOK, contains, "Read-After", after)
}

// run runs one of the program's other commands beside the service.
func (s *running) run(args ...string) string {
	s.t.Helper()
	out, err := command(s.t, s.data, append(args, "--set", "kafka.brokers="+s.broker)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// All promises hold for lists: the log, the queries, the history, the status of
// commands, the proof, and the documents for machines.
func TestService(t *testing.T) {
	data := t.TempDir()
	s := start(t, data)

	s.send(`{"type":"createList","payload":{"id":"groceries","title":"Groceries"}}`, 200, `"stream":"list/groceries","version":1`)
	s.send(`{"type":"addItem","payload":{"id":"groceries","item":"milk","quantity":2}}`, 200, `"version":2`)
	s.send(`{"type":"addItem","payload":{"id":"groceries","item":"milk"}}`, 409, "item-already-there")
	s.send(`{"type":"checkItem","payload":{"id":"party","item":"milk"}}`, 404, "list-not-found")
	s.send(`{"type":"createList","payload":{"id":"Groceries!","title":""}}`, 400, `"pointer":"/payload/title"`)
	s.send(`{"type":"createUser","payload":{}}`, 400, "must be one of createList, addItem, checkItem, removeItem, closeList")
	last := s.send(`{"type":"checkItem","id":"check-1","payload":{"id":"groceries","item":"milk"}}`, 200, `"version":3`)
	s.send(`{"type":"checkItem","id":"check-1","payload":{"id":"groceries","item":"milk"}}`, 200, `"version":3`)

	s.get("/lists/groceries", last, `"items":[{"item":"milk","quantity":2,"checked":true}]`)
	s.get("/lists", last, `"itemCount":1`)
	s.get("/lists/groceries/history", last, `"type":"itemChecked"`)
	s.get("/lists/groceries/commands/check-1", last, `"status":"succeeded","version":3`)

	accepted := s.ask(http.MethodPost, s.commands+"/commands", `{"type":"closeList","payload":{"id":"groceries"}}`, 202, "accepted", "Content-Type", "application/json")
	last = accepted.Get("Position")
	s.get(strings.TrimPrefix(accepted.Get("Location"), s.queries), last, `"status":"succeeded","version":4`)

	if proof := s.run("verify"); !strings.Contains(proof, "lists") {
		t.Errorf("verify: %s", proof)
	}
	s.stop()

	s = start(t, data)
	s.get("/lists/groceries", last, `"closed":true`)
	s.send(`{"type":"closeList","payload":{"id":"groceries"}}`, 409, "list-closed")
}

func TestOpenAPI(t *testing.T) {
	text, err := command(t, t.TempDir(), "docs", "openapi").Output()
	var document struct{ Paths map[string]any }
	if err := errors.Join(err, json.Unmarshal(text, &document)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/commands", "/lists", "/lists/{id}", "/lists/{id}/history", "/lists/{id}/commands/{command}"} {
		if document.Paths[path] == nil {
			t.Errorf("there is no path %s", path)
		}
	}
	for _, name := range []string{"addItem", "item-already-there", "itemChecked"} {
		if !strings.Contains(string(text), name) {
			t.Errorf("nothing says %s", name)
		}
	}
}
