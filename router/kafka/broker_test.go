package kafka

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/embedded"
)

// envBrokerDir turns this test binary into a broker process for a test to kill.
const envBrokerDir = "MILLRACE_TEST_BROKER_DIR"

// brokerProcess prints its broker's address, and serves until a kill.
func brokerProcess(dir string) {
	broker, err := embedded.Start("localhost:0", dir, false, embedded.Security{}, quiet)
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println(broker.Addr())
	select {}
}

func TestBrokerIsAdvertisedAsConfigured(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "127.0.0.1"} {
		broker := startBroker(t, net.JoinHostPort(host, "0"), t.TempDir())
		closing(t, broker)
		_, port, err := net.SplitHostPort(broker.Addr())
		if err != nil || port == "0" {
			t.Fatalf("listens on %s", broker.Addr())
		}
		k := &Kafka{Brokers: []string{net.JoinHostPort("127.0.0.1", port)}, Partitions: partitions, Log: quiet}
		client, err := sarama.NewClient(k.Brokers, k.sarama())
		if err != nil {
			t.Fatal(err)
		}
		closing(t, client)
		var told []string
		for _, b := range client.Brokers() {
			told = append(told, b.Addr())
		}
		if want := []string{net.JoinHostPort(host, port)}; !slices.Equal(told, want) {
			t.Errorf("clients get the address %v, want %v", told, want)
		}
	}
}

func TestBrokerRefusesToStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broker := startBroker(t, "localhost:0", dir)
	closing(t, broker)
	file := t.TempDir() + "/file"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		address, dir string
		is           error
		says         string
	}{
		"data in use":        {"localhost:0", dir, embedded.ErrDataInUse, dir},
		"port in use":        {broker.Addr(), t.TempDir(), nil, "listen on " + broker.Addr()},
		"no port":            {"localhost", t.TempDir(), nil, "missing port"},
		"port not a number":  {"localhost:kafka", t.TempDir(), nil, "localhost:kafka"},
		"folder can't be":    {"localhost:0", file + "/data", nil, file},
		"no such local name": {"192.0.2.1:0", t.TempDir(), nil, "listen on 192.0.2.1:0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			second, err := embedded.Start(test.address, test.dir, false, embedded.Security{}, quiet)
			if err == nil {
				_ = second.Close()
				t.Fatal("started")
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("%v: is not: %v", err, test.is)
			}
			if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, test.says) {
				t.Errorf("%q: want one line with %q", text, test.says)
			}
			// The folder is not locked any more.
			if test.dir != dir && test.dir != file+"/data" {
				closing(t, startBroker(t, "localhost:0", test.dir))
			}
		})
	}
}

// Acknowledged messages outlive the broker, after Close and after a kill.
func TestBrokerKeepsItsData(t *testing.T) {
	t.Parallel()
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		for _, sync := range []bool{false, true} {
			dir := t.TempDir()
			broker, err := embedded.Start("localhost:0", dir, sync, embedded.Security{}, quiet)
			if err != nil {
				t.Fatal(err)
			}
			testDataKept(t, dir, broker.Addr(), broker.Close)
		}
	})
	t.Run("killed", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		process := exec.Command(os.Args[0])
		process.Env = append(os.Environ(), envBrokerDir+"="+dir)
		process.Stderr = os.Stderr
		stdout, err := process.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = process.Process.Kill() })
		address, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if _, err := embedded.Start("localhost:0", dir, false, embedded.Security{}, quiet); !errors.Is(err, embedded.ErrDataInUse) {
			t.Errorf("while another process uses the folder: %v", err)
		}
		testDataKept(t, dir, strings.TrimSpace(address), func() error {
			if err := process.Process.Kill(); err != nil {
				return err
			}
			_ = process.Wait() // the error says killed
			return nil
		})
	})
}

func testDataKept(t *testing.T, dir, address string, end func() error) {
	t.Helper()
	k := &Kafka{Brokers: []string{address}, Partitions: partitions, Replication: 1, Log: quiet}
	topics := ensureTopics(t, k)
	var records []*eventlog.Record
	for seq := range 100 {
		records = append(records, newRecord("user/1", seq+1))
	}
	appendAll(t, k, records...)
	at := eventlog.PartitionOf("user/1", partitions)
	before := forms(kafkaMessages(t, k, eventlog.TopicEvents, at))
	if len(before) != len(records) {
		t.Fatalf("%d records, want %d", len(before), len(records))
	}
	commit(t, k, "group", eventlog.TopicEvents, at, 42)
	if err := end(); err != nil {
		t.Fatal(err)
	}

	broker := startBroker(t, "localhost:0", dir)
	defer func() { _ = broker.Close() }()
	k.Brokers = []string{broker.Addr()}
	if again := ensureTopics(t, k); again != topics {
		t.Errorf("topics %v are now %v", topics, again)
	}
	if diff := cmp.Diff(before, forms(kafkaMessages(t, k, eventlog.TopicEvents, at))); diff != "" {
		t.Errorf("the records have changed (-before +after):\n%s", diff)
	}
	if next := committed(t, k, "group", eventlog.TopicEvents)[at]; next != 42 {
		t.Errorf("the group goes on at %d, want 42", next)
	}
	// The log goes on where it ended.
	appendAll(t, k, newRecord("user/1", 101))
	after := kafkaMessages(t, k, eventlog.TopicEvents, at)
	if len(after) != 101 || after[100].Offset != 100 {
		t.Errorf("%d records after one more, want 101", len(after))
	}
}

// commit commits an offset of a group without members, as an administrator may.
func commit(t *testing.T, k *Kafka, group, topic string, partition int32, next int64) {
	t.Helper()
	client, err := sarama.NewClient(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	coordinator, err := client.Coordinator(group)
	if err != nil {
		t.Fatal(err)
	}
	request := &sarama.OffsetCommitRequest{Version: 2, ConsumerGroup: group, ConsumerGroupGeneration: sarama.GroupGenerationUndefined, RetentionTime: -1}
	request.AddBlock(k.Topic(topic), partition, next, 0, "")
	response, err := coordinator.CommitOffset(request)
	if err != nil {
		t.Fatal(err)
	}
	if code := response.Errors[k.Topic(topic)][partition]; !errors.Is(code, sarama.ErrNoError) {
		t.Fatal(code)
	}
}

// committed returns a group's offsets.
func committed(t *testing.T, k *Kafka, group, topic string) eventlog.Position {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	offsets, err := admin.ListConsumerGroupOffsets(group, nil)
	if err != nil {
		t.Fatal(err)
	}
	at := eventlog.Position{}
	for partition, block := range offsets.Blocks[k.Topic(topic)] {
		if block.Offset >= 0 {
			at[partition] = block.Offset
		}
	}
	return at
}
