package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runWith runs the program with the settings of a service, and returns everything
// that the program has printed.
func runWith(t *testing.T, code int, set settings, args ...string) string {
	t.Helper()
	p := launch(t, set, args...)
	if got := p.exit(t, patience); got != code {
		t.Fatalf("app %s: exit code %d, want %d: %s%s", strings.Join(args, " "), got, code, &p.stdout, &p.stderr)
	}
	return p.stdout.String() + p.stderr.String()
}

// A new command service starts with the state of another, and folds only what has
// come since.
func TestStateOfAnotherService(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	for id := range 40 {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"A"}}`, id+1))
	}
	s.waitForMetrics(s.commandService, "millrace_state_streams 40", "millrace_state_unwritten_streams 0")
	dir := t.TempDir()
	file := filepath.Join(dir, "state.tar")
	eventually(t, "an export with all records", func() error {
		_ = os.Remove(file)
		runWith(t, exitOK, s.commandService.set, "state", "export", file)
		return wantText(runWith(t, exitOK, s.second(filepath.Join(dir, "tried")), "state", "import", "--replace", file), "imported the state of 40 records")
	})
	for _, id := range []int{1, 2, 3} {
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":%d,"name":"B"}}`, id))
	}
	set := s.second(filepath.Join(dir, "second"))
	runWith(t, exitOK, set, "state", "import", file)
	second := s.service(set, "--config", shipped(t, "command-service.yaml"))
	second.start()
	s.waitForMetrics(second, "millrace_state_streams 40", "millrace_state_lag_records 0")
	if err := wantText(second.stderr.String(), `"msg":"opened the state store","records":40`); err != nil {
		t.Error(err)
	}
	s.commandService.signal(t, syscall.SIGTERM)
	s.commandService.exit(t, patience)
	s.commandService = second // the wait for the outcome asks the second service
	if got := s.wait(`{"type":"renameUser","payload":{"id":1,"name":"C"},"expectedVersion":2}`); !strings.Contains(got.body, `"succeeded"`) {
		t.Errorf("the second service says %s", got)
	}
	s.wantProven()
}

// second are the settings of a second command service, with a folder of its own.
func (s *stack) second(dir string) settings {
	return s.shared.with(settings{"data_dir": dir, "roles": "command-service"})
}

func wantText(in, text string) error {
	if !strings.Contains(in, text) {
		return fmt.Errorf("there is no %q in %s", text, in)
	}
	return nil
}

// What doesn't fit is refused in one line, and the folder stays as it was.
func TestStateThatDoesNotFit(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	s.accept(createAlice)
	s.waitForMetrics(s.commandService, "millrace_state_streams 1", "millrace_state_unwritten_streams 0")
	dir := t.TempDir()
	file, cut := filepath.Join(dir, "state.tar"), filepath.Join(dir, "cut.tar")
	runWith(t, exitOK, s.commandService.set, "state", "export", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cut, whole[:len(whole)*2/3], 0o600); err != nil {
		t.Fatal(err)
	}
	set := s.second(filepath.Join(dir, "second"))
	refused := []struct {
		name, says string
		set        settings
		args       []string
	}{
		{"an export over a file", file + " exists", s.commandService.set, []string{"export", file}},
		{"an export of a process that is no command service", "is no command service", s.queryService.set, []string{"export", filepath.Join(dir, "x")}},
		{"an export without a state store", "there is no state store", set.with(settings{"admin.address": "localhost:1"}), []string{"export", filepath.Join(dir, "x")}},
		{"an import into a folder in use", "in use by another process", s.commandService.set, []string{"import", file}},
		{"a file that is cut", "not a whole export of a state store", set, []string{"import", cut}},
		{"another log", "it is of another log", set.with(settings{"kafka.topic_prefix": s.shared["kafka.topic_prefix"] + "other."}), []string{"import", file}},
		{"more outcomes", "it keeps 128 outcomes a stream, and handlers.outcomes_per_stream is 200", set.with(settings{"handlers.outcomes_per_stream": "200"}), []string{"import", file}},
	}
	for _, test := range refused {
		said := runWith(t, exitFailed, test.set, append([]string{"state"}, test.args...)...)
		_, line, found := strings.Cut(said, "app: ")
		if !found || strings.Count(line, "\n") != 1 || !strings.Contains(line, test.says) {
			t.Errorf("%s: it said\n%swant one line with %s", test.name, said, test.says)
		}
	}
	runWith(t, exitOK, set, "state", "import", file)
	if err := wantText(runWith(t, exitFailed, set, "state", "import", file), "to delete it, add --replace"); err != nil {
		t.Error(err)
	}
	runWith(t, exitOK, set, "state", "import", "--replace", file)
	for _, name := range []string{"x", "x.partial"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("a refused export leaves %s", name)
		}
	}
	// Of a stopped service, the export comes from the folder.
	s.commandService.signal(t, syscall.SIGTERM)
	s.commandService.exit(t, patience)
	again := filepath.Join(dir, "again.tar")
	runWith(t, exitOK, s.commandService.set, "state", "export", again)
	if err := wantText(runWith(t, exitOK, set, "state", "import", "--replace", again), "imported the state of 1 record"); err != nil {
		t.Error(err)
	}
}

// A second process on the folder is refused in one plain line.
func TestSecondProcessOnTheState(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	p := launch(t, s.shared.with(settings{"roles": "command-service", "log.level": "warn"}))
	if code := p.exit(t, patience); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if said := p.stderr.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "is in use by another process") {
		t.Errorf("a second process on the folder says\n%s", said)
	}
}
