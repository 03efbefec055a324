package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"

	"github.com/millrace/millrace/router/eventlog"
)

// sendAs sends a message to a partition of a topic, as another program may.
func (s *stack) sendAs(change func(*sarama.Config), topic string, partition int32, value []byte) {
	s.t.Helper()
	config := sarama.NewConfig()
	config.Producer.Return.Successes, config.Producer.Partitioner = true, sarama.NewManualPartitioner
	change(config)
	producer, err := sarama.NewSyncProducer(s.brokers(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	if config.Producer.Transaction.ID != "" {
		if err := producer.BeginTxn(); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: s.topic(topic), Partition: partition, Value: sarama.ByteEncoder(value)}); err != nil {
		s.t.Fatal(err)
	}
	if config.Producer.Transaction.ID != "" {
		if err := producer.CommitTxn(); err != nil {
			s.t.Fatal(err)
		}
	}
}

// inTransaction makes a producer leave a marker behind its messages.
func inTransaction(config *sarama.Config) {
	config.Producer.Idempotent, config.Producer.RequiredAcks, config.Net.MaxOpenRequests = true, sarama.WaitForAll, 1
	config.Producer.Transaction.ID = uuid.NewString()
}

// A transaction's marker at the end of a partition stops no service and no
// command line, neither at once nor after a restart.
func TestMarkersStopNobody(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	all := s.services()[0]
	s.accept(createAlice)
	s.waitForUser(alice)
	at := eventlog.PartitionOf("user/1", 12)
	for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
		s.sendAs(inTransaction, topic, at, []byte("stray"))
	}
	check := func(version uint64) {
		t.Helper()
		all.waitUntilReady(t)
		name := fmt.Sprintf("Alice %d", version)
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":1,"name":%q}}`, name))
		s.waitForUser(user{ID: "1", Name: name, Version: version, Active: true})
		for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents} {
			s.sendAs(inTransaction, topic, at, []byte("stray"))
		}
		all.waitUntilReady(t)
		s.wantProven()
		s.wantApp(exitOK, []string{eventlog.TopicCommands}, "dead-letters", "list")
		s.wantApp(exitOK, []string{"is live"}, "projections", "rebuild", "users")
		s.wantApp(exitOK, nil, "parked", "list")
	}
	check(2)
	s.waitForMetrics(all, "millrace_state_ignored_records 2")
	all.signal(t, syscall.SIGTERM)
	all.exit(t, 10*time.Second)
	all.start()
	logged := len(all.stderr.String())
	check(3)
	// A start doesn't tell of old records that don't count.
	s.waitForMetrics(all, "millrace_state_ignored_records 1") // the state store has folded the others
	if again := strings.Count(all.stderr.String()[logged:], "ignored a message that is no record"); again > 1 {
		t.Errorf("%d lines after the restart", again)
	}
}

// A message that is too large for the dead letters leaves a stub there, and the
// commands behind go on.
func TestHugeMessageLeavesAStub(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	s.accept(createAlice)
	s.sendAs(func(config *sarama.Config) {
		config.Producer.Compression, config.Producer.MaxMessageBytes = sarama.CompressionGZIP, 20<<20
	}, eventlog.TopicCommands, eventlog.PartitionOf("user/1", 12), make([]byte, 5<<20))
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Alison"}}`)
	s.waitForUser(user{ID: "1", Name: "Alison", Version: 2, Active: true})
	s.waitForMetrics(s.commandService, "millrace_dead_letters_total 1")
	s.wantApp(exitOK, []string{"5242880 bytes: a command has at most"}, "dead-letters", "list")
}

// A byte that the disk of the embedded broker has changed ends verify with a
// line, and the command service says what it can't read.
func TestDamagedSegmentIsTold(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	if s.onKafka() {
		t.Skip("is about the embedded broker's files")
	}
	s.startOneProcess()
	s.accept(createAlice)
	s.waitForUser(alice)
	file := filepath.Join(s.shared["data_dir"], "broker", "partitions", fmt.Sprintf("%s-%d", eventlog.TopicEvents, eventlog.PartitionOf("user/1", 12)), "0.dat")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Alison"}}`)
	s.waitForUser(user{ID: "1", Name: "Alison", Version: 2, Active: true})
	to, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Alicia"}}`)
	s.waitForUser(user{ID: "1", Name: "Alicia", Version: 3, Active: true})
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damage := func(at int) {
		t.Helper()
		whole[at] ^= 1
		if err := os.WriteFile(file, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damage((len(content) + int(to.Size())) / 2) // the second record
	want := []string{"damaged", fmt.Sprintf("partition %d of events", eventlog.PartitionOf("user/1", 12))}
	s.wantApp(exitFailed, append(want, "at or behind offset"), "verify", "users")
	s.wantApp(exitFailed, append(want, "at or behind offset"), "projections", "rebuild", "users")
	s.wantApp(exitFailed, append(want, "at or behind offset"), "parked", "list")
	damage(len(content) / 2) // the first, too
	s.wantApp(exitFailed, want, "verify", "users")
}
