package service

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A mistake that waiting does not mend ends the program, with one plain line.
func TestOneLineAtStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	port := taken.Addr().String()
	s := newStack(t)
	first := s.service(settings{"roles": "broker"})
	first.start()

	for _, test := range []struct {
		name string
		set  settings
		line string
	}{
		{"port of admin", settings{"admin.address": port}, "app: admin.address: can't listen on " + port + ": "},
		{"port of commands", settings{"command_service.address": port}, "app: command_service.address: can't listen on " + port + ": "},
		{"port of queries", settings{"read_api.address": port}, "app: read_api.address: can't listen on " + port + ": "},
		{"port of the broker", settings{"broker.address": port}, "app: broker.address: can't listen on " + port + ": "},
		{"data folder", settings{"data_dir": s.shared["data_dir"]}, "app: broker data folder " + s.shared["data_dir"] + "/broker is in use"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := launch(t, s.shared.with(settings{"data_dir": t.TempDir()}).with(test.set))
			code := p.exit(t, patience)
			said := p.stderr.String()
			if code != exitFailed || !strings.HasPrefix(said, test.line) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d, and it said:\n%s\nwant one line: %s…", code, said, test.line)
			}
			if p.stdout.String() != "" {
				t.Errorf("it printed:\n%s", &p.stdout)
			}
		})
	}
	if first.signal(t, syscall.SIGTERM); first.exit(t, 10*time.Second) != exitOK {
		t.Error("the first one did not end well")
	}
}

// The program waits for brokers that are away.
func TestBrokersAway(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startBroker()
	way := newProxy(t, s.brokers()[0])
	three := s.service(settings{"roles": "command-service,query-service,read-api", "kafka.brokers": way.address})
	s.commandService, s.queryService, s.readAPI = three, three, three
	three.launch()
	three.waitsFor("kafka can't be reached")
	got := s.post(createAlice)
	wantProblem(t, got, 503, "unavailable")
	if !strings.Contains(got.body, "the command was not taken") {
		t.Errorf("nothing was sent, and the answer is %s", got)
	}
	if got.header.Get("Retry-After") == "" || !strings.Contains(got.body, `"id":"`) {
		t.Errorf("no Retry-After, or no command id: %s", got)
	}
	way.open()
	three.waitUntilReady(t)
	s.accept(createAlice)
	s.waitForUser(alice)

	// An outage has a beginning and an end in the log, in plain words.
	way.cut()
	eventually(t, "the beginning of an outage in the log", func() error { return three.logged(`"level":"INFO","msg":"not ready: `, "kafka is away") })
	if got, err := send(http.DefaultClient, http.MethodGet, "http://"+three.at.Admin+"/healthz", "", ""); err != nil || got.status != http.StatusOK || !strings.Contains(got.body, `"waiting"`) {
		t.Errorf("a process that waits for Kafka isn't healthy: %s, %v", got, err)
	}
	way.open()
	eventually(t, "the end of an outage in the log", func() error { return three.logged(`"level":"INFO","msg":"ready again"`) })
	for _, words := range []string{"circuit breaker", "run out of available brokers", "another process"} {
		if three.logged(words) == nil {
			t.Errorf("the log has %q", words)
		}
	}
}

// logged is an error unless the log has all these texts.
func (s *service) logged(texts ...string) error {
	for _, text := range texts {
		if !strings.Contains(s.stderr.String(), text) {
			return fmt.Errorf("the log has no %s", text)
		}
	}
	return nil
}

// The program waits for a database that is away.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := os.Getenv("POSTGRES_URL")
	there := server != ""
	if !there {
		server = "postgres://millrace:secret@localhost:5432/millrace"
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("POSTGRES_URL is not a URL")
	}
	way := newProxy(t, u.Host)
	if there {
		u, _ = url.Parse(newSchema(t, server))
	}
	u.Host = way.address

	s := newStack(t)
	s.startBroker()
	three := s.service(settings{
		"roles": "command-service,query-service,read-api", "store.driver": "postgres", "store.postgres.url": u.String(),
	})
	s.commandService, s.queryService, s.readAPI = three, three, three
	three.launch()
	three.waitsFor("the store can't be reached")
	if password, _ := u.User.Password(); strings.Contains(three.stderr.String(), ":"+password+"@") {
		t.Error("it logged the password")
	}
	got, err := s.get("/users")
	if err != nil {
		t.Fatal(err)
	}
	wantProblem(t, got, 503, "unavailable")
	eventually(t, "commands are taken all the same", func() error {
		if got := s.post(createAlice); got.status != http.StatusAccepted {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if there {
		way.open()
		three.waitUntilReady(t)
		s.waitForUser(alice)
	}
	three.signal(t, syscall.SIGTERM)
	if code := three.exit(t, 10*time.Second); code != exitOK {
		t.Errorf("told to stop, it ended with exit code %d", code)
	}
}

// waitsFor waits until the log, in one line, and /readyz both name the missing
// thing.
func (s *service) waitsFor(what string) {
	s.t.Helper()
	eventually(s.t, "it says what it waits for", func() error {
		s.mustRun(s.t)
		if n := strings.Count(s.stderr.String(), what); n != 1 {
			return fmt.Errorf("%d lines in its log have %q", n, what)
		}
		return nil
	})
	got, err := send(http.DefaultClient, http.MethodGet, "http://"+s.at.Admin+"/readyz", "", "")
	if err != nil || got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "waitingFor") {
		s.t.Errorf("GET /readyz: %s %v", got, err)
	}
}

// A read API says in one plain line that the database can't be reached, keeps
// the password secret, and still stops on a signal.
func TestReadAPIWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	p := launch(t, settings{
		"roles": "read-api", "store.driver": "postgres", "store.postgres.url": "postgres://user:hush@localhost:1/db",
		"read_api.address": "localhost:0", "admin.address": "localhost:0",
	})
	p.waitForBanner(t)
	eventually(t, "it says so", func() error {
		if log := p.stderr.String(); strings.Count(log, "the store can't be reached") != 1 {
			return errors.New(log)
		}
		return nil
	})
	if p.ready() == nil {
		t.Error("it is ready all the same")
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.exit(t, 10*time.Second); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(p.stderr.String()+p.stdout.String(), "hush") {
		t.Error("it told its password")
	}
}
