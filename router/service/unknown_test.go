package service

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// write writes a command straight to topic commands.
func (s *stack) write(commandType, stream, id, body string) {
	s.t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer(s.brokers(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	m := &sarama.ProducerMessage{
		Topic: s.topic(eventlog.TopicCommands), Partition: eventlog.PartitionOf(stream, 12),
		Key: sarama.StringEncoder(stream), Value: sarama.StringEncoder(body),
	}
	for name, value := range map[string]string{
		"ce_specversion": "1.0", "ce_type": commandType, "ce_subject": stream, "ce_commandid": id, "ce_commandhash": "hash of " + id,
		"ce_time": "2026-01-01T00:00:00.000Z",
	} {
		m.Headers = append(m.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(value)})
	}
	if _, _, err := producer.SendMessage(m); err != nil {
		s.t.Fatal(err)
	}
}

// A command of a type that nobody knows stops its own stream only, until an
// operator drops the command. The service stays in the group, also after a
// restart.
func TestCommandOfAnUnknownType(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for _, id := range []int{1, 2} {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"New"}}`, id))
	}
	s.write("fooCommand", "user/1", "foo", `{"any":[1,null]}`)
	s.waitForStatus(statusURL("1", "foo"), "accepted")
	if got := s.waitInVain(`{"type":"renameUser","payload":{"id":1,"name":"Later"},"id":"behind"}`); got.status != http.StatusAccepted {
		t.Errorf("a command behind: %s", got)
	}
	s.waitForStatus(statusURL("1", "behind"), "accepted")
	for round, name := range []string{"Else", "Again"} {
		if got := s.wait(fmt.Sprintf(`{"type":"renameUser","payload":{"id":2,"name":%q}}`, name)); got.status != http.StatusOK {
			t.Errorf("a command of another user, round %d: %s", round, got)
		}
		s.commandService.waitUntilReady(t)
		s.waitForMetrics(s.commandService, "millrace_state_waiting_streams 1", "millrace_state_deferred_commands 2", "millrace_state_parked_streams 0")
		if round == 0 {
			s.commandService.kill()
			s.commandService.start()
		}
	}
	s.wantApp(exitOK, []string{"user/1", "foo", "fooCommand", "unknown-type"}, "parked", "list")
	s.wantApp(exitOK, []string{`{"any":[1,null]}`, "unknown-type", "Later", "behind-unknown"}, "parked", "show", "user/1")
	s.wantApp(exitFailed, []string{"waits for a binary that can decide the command"}, "parked", "requeue", "user/1")
	s.wantApp(exitOK, []string{"foo is refused: an operator has dropped the command", "1 more go on behind it"}, "parked", "drop", "user/1", "foo")
	s.waitForStatus(statusURL("1", "foo"), "refused")
	s.waitForStatus(statusURL("1", "behind"), "succeeded")
	s.waitForUser(user{ID: "1", Name: "Later", Version: 2, Active: true})
	s.waitForUser(user{ID: "2", Name: "Again", Version: 3, Active: true})
	s.waitForMetrics(s.commandService, "millrace_state_waiting_streams 0", "millrace_state_deferred_commands 0")
	s.wantApp(exitOK, []string{"nothing is parked"}, "parked", "list")
	s.wantProven()
}

// A binary that knows the type decides the command next, and the commands
// behind, without an operator.
func TestCommandOfANewerBinary(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"New"}}`)
	s.write("breakUser", "user/1", "novel", `{"id":1,"name":"Novel"}`)
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Later"},"id":"behind"}`)
	s.waitForStatus(statusURL("1", "behind"), "accepted")
	s.waitForStatus(statusURL("1", "novel"), "accepted")
	s.waitForMetrics(s.commandService, "millrace_state_deferred_commands 2") // both are queued in the log
	s.setenv(brokenRule, "mended")
	s.commandService.kill()
	s.commandService.start()
	s.waitForStatus(statusURL("1", "novel"), "succeeded")
	s.waitForStatus(statusURL("1", "behind"), "succeeded")
	s.waitForUser(user{ID: "1", Name: "Later", Version: 3, Active: true})
	var types []string
	for _, r := range s.readLog()["user/1"] {
		types = append(types, r.Type)
	}
	if want := "[userCreated commandQueued commandQueued userRenamed userRenamed]"; fmt.Sprint(types) != want {
		t.Errorf("the log has %v, want %s", types, want)
	}
}

// Commands from Kafka are read as strictly as commands from HTTP: what the
// gateway refuses goes to the dead letters, and appends nothing.
func TestCommandsFromKafkaAreReadStrictly(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.accept(`{"type":"createUser","payload":{"id":"vic","name":"Vic"}}`)
	bodies := []string{
		`{"id":"vic","nick":"V"}`, `{"id":"vic","name":"Victor","nick":"V"}`, `{"id":"vic","Name":"Victor"}`,
		`{"id":"vic","name":7}`, `{"id":"vic","name":""}`, `{"id":"","name":"Victor"}`, `{"id":"vic","name":"V","name":"W"}`,
	}
	for i, body := range bodies {
		s.write("renameUser", "user/vic", fmt.Sprint("kafka-", i), body)
	}
	s.write("foo Command", "user/vic", "no-type", `{}`)
	s.write("fooCommand", "user/vic", "no-object", `[]`)
	s.write("renameUser", "user/vic", "no id", `{"id":"vic","name":"Victor"}`)
	s.write("renameUser", "user/vic", "right", `{"name":"Vicky","id":"vic"}`)
	s.waitForStatus(statusURL("vic", "right"), "succeeded")
	s.waitForUser(user{ID: "vic", Name: "Vicky", Version: 2, Active: true})
	eventually(t, "all dead letters", func() error {
		if list, code := s.app("dead-letters", "list"); code != exitOK || strings.Count(list, "can't be decoded") != len(bodies)+3 {
			return errors.New(list)
		}
		return nil
	})
	if records := s.readLog()["user/vic"]; len(records) != 2 {
		t.Errorf("the log has %d records of the user", len(records))
	}
}
