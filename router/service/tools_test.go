package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/config"
)

// A tool of the command line works on the store of the services, and names the
// store and the log; or it refuses, and makes nothing.
func TestToolsNameTheirTarget(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for _, args := range []string{"projections list", "projections rebuild users", "verify users", "setup"} {
		s.wantApp(exitOK, []string{"log at " + strings.Join(s.brokers(), ","), "; store "}, strings.Fields(args)...)
	}
	for _, args := range []string{"parked list", "dead-letters list"} {
		s.wantApp(exitOK, []string{"log at " + strings.Join(s.brokers(), ",")}, strings.Fields(args)...)
	}
	for _, args := range []string{"projections list", "projections rebuild users", "projections parked", "verify"} {
		dir := t.TempDir()
		other := s.shared.with(settings{"data_dir": dir, "kafka.brokers": strings.Join(s.brokers(), ",")})
		refused := []struct {
			name string
			set  settings
			says string
			code int
		}{
			{"no role with a store", settings{"roles": "command-service"}, `roles: "command-service" (in force): a process of these roles has no store`, exitUsage},
			{"a store that no service made", settings{"store.driver": "sqlite"}, "there is no store at " + filepath.Join(dir, "read.db"), exitFailed},
			{"another broker", settings{"broker.address": s.brokers()[0], "store.driver": "sqlite"}, "no broker runs on " + filepath.Join(dir, "broker"), exitFailed},
		}
		for _, test := range refused {
			p := launch(t, other.with(test.set), strings.Fields(args)...)
			code, said := p.exit(t, patience), p.stdout.String()+p.stderr.String()
			if code != test.code || !strings.Contains(said, test.says) || strings.Count(said, "\n") != 1 {
				t.Errorf("app %s, %s: exit code %d, and it said:\n%s\nwant one line with %s", args, test.name, code, said, test.says)
			}
			if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
				t.Errorf("app %s, %s: made %v, %v", args, test.name, files, err)
			}
		}
	}
}

// A new log beside the store of another log: neither the query service nor the
// read API is ready, and both say the remedy.
func TestStoreOfAnotherLog(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.accept(createAlice)
	s.waitForUser(alice)
	brokers := strings.Join(s.brokers(), ",")
	other := s.shared.with(settings{"kafka.brokers": brokers, "kafka.topic_prefix": s.shared["kafka.topic_prefix"] + "new.", "roles": "query-service,read-api"})
	p := launch(t, other)
	p.waitForBanner(t)
	eventually(t, "why it isn't ready", func() error {
		p.mustRun(t)
		err := p.ready()
		if err == nil {
			return errNotCompared
		}
		for _, role := range []string{`"query-service":"`, `"read-api":"`} {
			_, why, there := strings.Cut(err.Error(), role)
			why, _, _ = strings.Cut(why, `"`)
			if !there || !strings.Contains(why, "delete the store") {
				return err
			}
		}
		return nil
	})
	if err := s.readAPI.ready(); err != nil {
		t.Errorf("beside its own log: %v", err)
	}
}

// People get a banner with what runs in this process. Machines get lines of the
// log only.
func TestBannerIsForPeople(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	broker := launch(t, s.shared.with(settings{"roles": "broker"}))
	broker.waitForBanner(t)
	if said := broker.stdout.String(); strings.Contains(said, "/commands") || strings.Contains(said, "/users") || !strings.Contains(said, "/readyz") {
		t.Errorf("a broker alone says:\n%s", said)
	}
	machine := launch(t, s.shared.with(settings{"roles": "broker", "data_dir": t.TempDir(), "log.format": "json"}))
	eventually(t, "a line of the log", func() error {
		machine.mustRun(t)
		if !strings.Contains(machine.stderr.String(), `"msg":"started","roles":["broker"]`) {
			return errNotCompared
		}
		return nil
	})
	if said := machine.stdout.String(); said != "" {
		t.Errorf("among JSON lines there is:\n%s", said)
	}
	for _, test := range []struct {
		format string
		pid    int
		want   bool
	}{{"auto", 4711, true}, {"auto", 1, false}, {"json", 4711, false}, {"text", 1, true}} {
		cfg := config.Default()
		cfg.Log.Format = test.format
		if got := showsBanner(cfg, new(strings.Builder), test.pid); got != test.want {
			t.Errorf("format %s, process %d: banner %t", test.format, test.pid, got)
		}
	}
}

// While drain_delay runs, /readyz says that the process is not ready, and the
// ports still answer.
func TestDrainDelay(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.shared["drain_delay"] = "2s"
	s.startOneProcess()
	s.accept(createAlice)
	all := s.commandService
	if err := all.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	eventually(t, "not ready", func() error {
		if all.ready() == nil {
			return errNotCompared
		}
		return nil
	})
	if err := all.ready(); !strings.Contains(err.Error(), "stopping") {
		t.Errorf("not ready: %v", err)
	}
	for _, address := range []string{all.at.Commands, all.at.Queries} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatalf("the port is closed already: %v", err)
		}
		_ = conn.Close()
	}
	s.accept(`{"type":"createUser","payload":{"id":2,"name":"Late"}}`)
	if code := all.exit(t, patience); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// What isn't there is not dropped, a scratch folder that can't be written is
// named, and a wrong number of partitions is told before the banner.
func TestToolsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.wantApp(exitFailed, []string{"there is no dead letter 0/7"}, "dead-letters", "drop", "0/7")
	brokers := settings{"kafka.brokers": strings.Join(s.brokers(), ",")}
	verify := exec.Command("app", "verify")
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	verify.Dir, verify.Env = t.TempDir(), append(s.shared.with(brokers).environ(), "TMPDIR="+nowhere)
	if said, err := verify.CombinedOutput(); err == nil || !strings.Contains(string(said), "no room for the scratch database in "+nowhere+"; set TMPDIR") {
		t.Errorf("%v: %s", err, said)
	}
	p := launch(t, s.shared.with(brokers).with(settings{"roles": "command-service", "kafka.partitions": "24"}))
	code, said := p.exit(t, patience), p.stderr.String()
	if code != exitFailed || p.stdout.String() != "" || !strings.Contains(said, "kafka.partitions is 24") || strings.Count(said, "\n") != 1 {
		t.Errorf("exit code %d, and it said:\n%s%s", code, &p.stdout, said)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr strings.Builder
	code := command(ctx, domain, []string{"setup", "--set", "kafka.brokers=localhost:1"}, nil, &stdout, &stderr)
	if code != exitFailed || stderr.String() != "app: interrupted\n" {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}

// A client that closes its sending side after the request gets its answer, and
// the outcome if the client waits for the outcome.
func TestHalfClosedClientGetsItsAnswer(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	ask := func(address, request string) (int, string) {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		if sending, ok := conn.(*net.TCPConn); !ok || sending.CloseWrite() != nil {
			t.Fatal("the sending side can't be closed")
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	post := func(prefer string) string {
		return fmt.Sprintf("POST /commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", prefer, len(createAlice), createAlice)
	}
	if status, body := ask(s.commandService.at.Commands, post("")); status != http.StatusAccepted {
		t.Errorf("POST: %d %s", status, body)
	}
	if status, body := ask(s.commandService.at.Commands, post("Prefer: wait=20\r\n")); status != http.StatusConflict {
		t.Errorf("POST that waits: %d %s", status, body)
	}
	s.waitForUser(alice)
	for range 10 {
		if status, body := ask(s.readAPI.at.Queries, "GET /users/1 HTTP/1.1\r\nHost: x\r\n\r\n"); status != http.StatusOK {
			t.Errorf("GET: %d %s", status, body)
		}
	}
}
