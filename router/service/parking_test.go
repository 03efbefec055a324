package service

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// brokenRule adds a command to the program. The rule of the command panics, or
// renames if the value is "mended".
const brokenRule = "TEST_BROKEN_RULE"

type breakUser struct {
	ID   users.ID   `json:"id"`
	Name users.Name `json:"name"`
}

func (breakUser) Type() string { return "breakUser" }

func (c breakUser) AggregateID() string { return string(c.ID) }

func (c breakUser) Decide(u users.User) (aggregate.Event[users.User], error) {
	if os.Getenv(brokenRule) != "mended" {
		panic("broken rule")
	}
	return users.RenameUser(c).Decide(u)
}

// wait posts a command, and waits for the outcome.
func (s *stack) wait(command string) answer {
	s.t.Helper()
	return s.waitFor(20*time.Second, command)
}

// waitInVain posts a command that has no outcome for now, and waits for one.
func (s *stack) waitInVain(command string) answer {
	s.t.Helper()
	return s.waitFor(5*time.Second, command)
}

func (s *stack) waitFor(atMost time.Duration, command string) answer {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodPost, "http://"+s.commandService.at.Commands+"/commands", strings.NewReader(command))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Prefer", fmt.Sprintf("wait=%.0f", atMost.Seconds()))
	got, err := do(s.client, request)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// app runs a command line of the program on the stack.
func (s *stack) app(args ...string) (stdout string, code int) {
	s.t.Helper()
	set := s.shared
	if s.broker != nil {
		set = set.with(settings{"kafka.brokers": s.broker.at.Broker})
	}
	p := launch(s.t, set, args...)
	code = p.exit(s.t, size(patience, 20*time.Minute))
	return p.stdout.String() + p.stderr.String(), code
}

// A command that can't be decided parks the stream of one user only. An operator
// looks at the command, mends the rule, and requeues; the command and the
// commands behind are decided in order.
func TestParkedUser(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(brokenRule, "broken")
	s.startOneProcess()
	for _, id := range []int{1, 2, 3} {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"New"}}`, id))
	}
	wantProblem(t, s.wait(`{"type":"breakUser","payload":{"id":1,"name":"Broken"},"id":"b1"}`), http.StatusInternalServerError, "command-parked")
	wantProblem(t, s.wait(`{"type":"breakUser","payload":{"id":3,"name":"Broken"},"id":"b3"}`), http.StatusInternalServerError, "command-parked")
	eventually(t, "the parked command in the log", func() error {
		return s.commandService.logged(`"level":"ERROR","msg":"parked a command"`, `"stream":"user/3","command":"b3","type":"breakUser"`, "broken rule")
	})
	if got := s.waitInVain(`{"type":"renameUser","payload":{"id":1,"name":"Later"},"id":"behind"}`); got.status != http.StatusAccepted {
		t.Errorf("a command behind a parked one: %s", got)
	}
	if got := s.wait(`{"type":"renameUser","payload":{"id":2,"name":"Else"}}`); got.status != http.StatusOK {
		t.Errorf("a command of another user: %s", got)
	}

	s.waitForStatus(statusURL("1", "b1"), "parked")
	s.waitForStatus(statusURL("1", "behind"), "parked")

	list, code := s.app("parked", "list")
	if code != exitOK || !strings.Contains(list, "b1") || !strings.Contains(list, "broken rule") || strings.Contains(list, "renameUser") {
		t.Errorf("parked list: exit %d\n%s", code, list)
	}
	show, code := s.app("parked", "show", "user/1")
	if code != exitOK || !strings.Contains(show, "Later") || !strings.Contains(show, "parking_test.go") {
		t.Errorf("parked show: exit %d\n%s", code, show)
	}
	if out, code := s.app("parked", "requeue", "user/1"); code != exitFailed || !strings.Contains(out, "parked again") {
		t.Errorf("requeue before the rule is mended: exit %d\n%s", code, out)
	}
	if out, code := s.app("parked", "drop", "user/3", "b3"); code != exitOK {
		t.Errorf("drop: exit %d\n%s", code, out)
	}
	if dropped := s.waitForStatus(statusURL("3", "b3"), "refused"); dropped.Problem == nil || dropped.Problem.Type != "urn:millrace:problem:command-dropped" {
		t.Errorf("the dropped command is %+v", dropped)
	}

	s.setenv(brokenRule, "mended")
	s.commandService.kill()
	s.commandService.start()
	if out, code := s.app("parked", "requeue", "user/1"); code != exitOK || !strings.Contains(out, "1 more go on behind it") {
		t.Errorf("requeue: exit %d\n%s", code, out)
	}
	s.waitForUser(user{ID: "1", Name: "Later", Version: 3, Active: true})
	s.waitForUser(user{ID: "3", Name: "New", Version: 1, Active: true})
	s.waitForStatus(statusURL("1", "b1"), "succeeded")
	s.waitForStatus(statusURL("1", "behind"), "succeeded")
	if out, code := s.app("parked", "list"); code != exitOK || !strings.Contains(out, "nothing is parked") {
		t.Errorf("parked list at the end: exit %d\n%s", code, out)
	}
	var types []string
	for _, r := range s.readLog()["user/1"] {
		types = append(types, r.Type)
	}
	want := "[userCreated commandParked commandQueued parkedRequeued commandParked parkedRequeued userRenamed userRenamed]"
	if fmt.Sprint(types) != want {
		t.Errorf("the log of user 1 has %v, want %s", types, want)
	}
}

// A message that can't be decoded goes to the dead letters, and delays nobody.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.accept(createAlice)
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(s.brokers(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	partition := eventlog.PartitionOf("user/1", 12)
	for _, m := range []*sarama.ProducerMessage{
		{Value: sarama.StringEncoder("no command")},
		{Key: sarama.StringEncoder("user/1"), Value: sarama.StringEncoder(`{"id":`), Headers: []sarama.RecordHeader{
			{Key: []byte("ce_specversion"), Value: []byte("1.0")}, {Key: []byte("ce_type"), Value: []byte("renameUser")},
			{Key: []byte("ce_subject"), Value: []byte("user/1")}, {Key: []byte("ce_commandid"), Value: []byte("x")}, {Key: []byte("ce_commandhash"), Value: []byte("x")},
			{Key: []byte("ce_time"), Value: []byte("2026-01-01T00:00:00.000Z")},
		}},
	} {
		m.Topic, m.Partition = s.topic(eventlog.TopicCommands), partition
		if _, _, err := producer.SendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if got := s.wait(`{"type":"renameUser","payload":{"id":1,"name":"Al"}}`); got.status != http.StatusOK {
		t.Errorf("the command behind them: %s", got)
	}
	eventually(t, "two dead letters", func() error {
		if list, code := s.app("dead-letters", "list"); code != exitOK || strings.Count(list, "\n") != 4 {
			return fmt.Errorf("exit %d\n%s", code, list)
		}
		return nil
	})
	t.Logf("in the dead letters after %s", time.Since(began).Round(time.Millisecond))
	list, _ := s.app("dead-letters", "list")
	for line := range strings.Lines(list) {
		letter, _, _ := strings.Cut(line, " ")
		if letter == "LETTER" || letter == "log" {
			continue
		}
		if show, code := s.app("dead-letters", "show", letter); code != exitOK || !strings.Contains(show, "reason") || !strings.Contains(show, "commands "+fmt.Sprint(partition)+"/") {
			t.Errorf("show %s: exit %d\n%s", letter, code, show)
		}
		if out, code := s.app("dead-letters", "drop", letter); code != exitOK {
			t.Errorf("drop %s: exit %d\n%s", letter, code, out)
		}
	}
	eventually(t, "no dead letters", func() error {
		if list, _ := s.app("dead-letters", "list"); !strings.Contains(list, "no dead letters") {
			return errors.New(list)
		}
		return nil
	})
}
