package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/config"
)

// A first signal lets a request under way end, a second signal doesn't.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	all := s.services()[0]
	half, err := net.Dial("tcp", all.at.Commands)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = half.Close() }()
	if _, err := io.WriteString(half, "POST /commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	s.accept(createAlice) // so that the half request has come in too

	all.signal(t, syscall.SIGTERM)
	eventually(t, "not ready", func() error {
		all.mustRun(t)
		if err := all.ready(); err == nil {
			return errors.New("it is")
		}
		return nil
	})
	time.Sleep(2 * doubled) // a second one that comes at once is the first one twice
	all.signal(t, syscall.SIGTERM)
	if code := all.exit(t, 5*time.Second); code != exitFailed {
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
}

// Services that stop leave their consumer groups, so the next services need not
// wait for a session to time out.
func TestStopLeavesTheGroups(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	s.accept(createAlice)
	s.waitForUser(alice)
	for _, service := range []*service{s.readAPI, s.queryService, s.commandService} {
		service.signal(t, syscall.SIGTERM)
		if code := service.exit(t, 10*time.Second); code != exitOK {
			t.Errorf("%s: exit code %d", service, code)
		}
	}
	admin, err := sarama.NewClusterAdmin(s.brokers(), sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	groups := []string{s.topic("millrace.command-service"), s.topic("millrace.query-service.users")}
	described, err := admin.DescribeConsumerGroups(groups)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range described {
		if group.State != "Empty" {
			t.Errorf("group %s is %q, with %d members", group.GroupId, group.State, len(group.Members))
		}
	}
	if s.broker != nil {
		s.broker.signal(t, syscall.SIGTERM)
		if code := s.broker.exit(t, 10*time.Second); code != exitOK {
			t.Errorf("%s: exit code %d", s.broker, code)
		}
	}
}

// A process that stops leaves nothing running behind. The test runs the same
// Main in this process.
func TestStopLeavesNothing(t *testing.T) {
	known := []goleak.Option{
		goleak.IgnoreCurrent(),
		// One a process, of sarama's metrics, for ever.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
	}
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	cfg.Broker.Address, cfg.Admin.Address = "localhost:0", "localhost:0"
	cfg.CommandService.Address, cfg.ReadAPI.Address = "localhost:0", "localhost:0"
	started := make(chan Addresses, 1)
	m := &Process{Service: registeredDomain(t), Config: cfg, Stdout: io.Discard, Log: slog.New(slog.DiscardHandler), Started: func(at Addresses) { started <- at }}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()

	var p process
	select {
	case p.at = <-started:
	case err := <-done:
		t.Fatal(err)
	}
	eventually(t, "ready", p.ready)
	if got, err := send(http.DefaultClient, http.MethodPost, "http://"+p.at.Commands+"/commands", "application/json", createAlice); err != nil || got.status != http.StatusAccepted {
		t.Errorf("POST /commands: %s %v", got, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	// A call of sarama that was under way ends by itself, later on a busy machine.
	eventually(t, "nothing is left", func() error { return goleak.Find(known...) })
}
