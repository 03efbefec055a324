package service

import (
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
)

// Topic commands of the embedded broker loses its end, or all messages, while
// the broker is down. All commands that are accepted after that are decided.
func TestCommandsLoseTheirEnd(t *testing.T) {
	t.Parallel()
	tests := map[string]func(size int64) int64{
		"the last twentieth": func(size int64) int64 { return size - size/20 },
		"the last half":      func(size int64) int64 { return size / 2 },
		"all":                func(int64) int64 { return 0 },
	}
	for name, keep := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := oneProcess(t)
			if s.onKafka() {
				t.Skip("Apache Kafka's files are out of reach")
			}
			const n = 100
			for range 3 {
				for id := range n {
					s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"A"}}`, id+1))
				}
			}
			all := s.services()[0]
			all.signal(t, syscall.SIGTERM)
			if code := all.exit(t, patience); code != exitOK {
				t.Fatalf("exit code %d: %s", code, &all.stderr)
			}
			cutSegments(t, s.shared["data_dir"], "commands", keep)
			all.start()
			renameAll(s, n)
			if log := all.stderr.String(); !strings.Contains(log, "topic commands has lost its end") {
				t.Errorf("the log says nothing of it:\n%s", log)
			}
		})
	}
}

// The broker dies and comes back with less of topic commands, while a command
// service runs.
func TestCommandsLoseTheirEndUnderAService(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	if s.onKafka() {
		t.Skip("Apache Kafka's files are out of reach")
	}
	const n = 100
	for range 3 {
		for id := range n {
			s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"A"}}`, id+1))
		}
	}
	s.waitForUser(user{ID: "100", Name: "A", Version: 1, Active: true})
	s.broker.kill()
	cutSegments(t, s.shared["data_dir"], "commands", func(size int64) int64 { return size / 2 })
	s.broker.set = s.broker.set.with(settings{"broker.address": s.broker.at.Broker})
	s.broker.start()
	eventually(t, "the service goes on", s.commandService.ready)
	renameAll(s, n)
}

// renameAll renames users 1 to n, and wants a decision of each command. A 503
// says nothing: the command is sent again, with its id.
func renameAll(s *stack, n int) {
	s.t.Helper()
	undecided := 0
	for id := range n {
		command := fmt.Sprintf(`{"id":%q,"type":"renameUser","payload":{"id":%d,"name":"B"}}`, uuid.NewString(), id+1)
		var got answer
		eventually(s.t, "the command is taken", func() (err error) {
			if got, err = s.postWaiting(command); err == nil && got.status == http.StatusServiceUnavailable {
				err = fmt.Errorf("%s", got)
			}
			return err
		})
		if got.status != http.StatusOK {
			undecided++
			s.t.Logf("user %d: %s", id+1, got)
		}
	}
	if undecided > 0 {
		s.t.Errorf("%d of %d commands were not decided", undecided, n)
	}
}

// postWaiting posts a command, and waits for the outcome.
func (s *stack) postWaiting(command string) (answer, error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+s.commandService.at.Commands+"/commands", strings.NewReader(command))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Prefer", "wait=20")
	request.Header.Set("Content-Type", "application/json")
	return do(s.client, request)
}

// cutSegments cuts the end off each segment of a topic.
func cutSegments(t *testing.T, dir, topic string, keep func(size int64) int64) {
	t.Helper()
	cut := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.Contains(path, topic+"-") || !strings.HasSuffix(path, ".dat") {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		cut++
		return os.Truncate(path, keep(info.Size()))
	})
	if err != nil || cut == 0 {
		t.Fatalf("cut %d segments: %v", cut, err)
	}
}

// Topic commands is deleted, and made anew, under running services. Commands
// accepted from then on are decided, without a restart.
func TestCommandsMadeAnew(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	for id := range 20 {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"A"}}`, id+1))
	}
	renameAll(s, 20)
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(s.brokers(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.DeleteTopic(s.shared["kafka.topic_prefix"] + "commands"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new topic is noticed", func() error {
		if !strings.Contains(s.commandService.stderr.String(), "deciding anew") {
			return fmt.Errorf("not yet")
		}
		return s.commandService.ready()
	})
	for range 3 {
		renameAll(s, 20)
	}
}

// Half of topic events is gone, and so is the state store: the read models' groups
// prove that the log was longer. Nobody decides, unless an operator says so.
func TestEventsLoseTheirEnd(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	if s.onKafka() {
		t.Skip("Apache Kafka's files are out of reach")
	}
	for id := range 60 {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"A"}}`, id+1))
	}
	renameAll(s, 60)
	s.waitForUser(user{ID: "60", Name: "B", Version: 2, Active: true})
	for _, service := range []*service{s.commandService, s.queryService, s.readAPI, s.broker} {
		service.signal(t, syscall.SIGTERM)
		if code := service.exit(t, patience); code != exitOK {
			t.Fatalf("exit code %d: %s", code, &service.stderr)
		}
	}
	dir := s.shared["data_dir"]
	cutSegments(t, dir, "events", func(size int64) int64 { return size / 2 })
	if err := os.RemoveAll(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	s.broker.set = s.broker.set.with(settings{"broker.address": s.broker.at.Broker})
	s.broker.start()
	s.commandService.launch()
	if code := s.commandService.exit(t, patience); code == exitOK {
		t.Error("it ended well")
	}
	if log := s.commandService.stderr.String(); !strings.Contains(log, "the log was longer") || !strings.Contains(log, "accept_shorter_log") {
		t.Errorf("the log doesn't say so:\n%s", log)
	}
	s.commandService.set = s.commandService.set.with(settings{"command_service.accept_shorter_log": "true"})
	s.commandService.start()
}
