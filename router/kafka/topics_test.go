package kafka

import (
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	topics := ensureTopics(t, k)
	if topics.CommandsID == "" || topics.EventsID == "" || topics.CommandsID == topics.EventsID {
		t.Errorf("topic ids: %+v", topics)
	}
	admin := newAdmin(t, k)
	for _, name := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
		want := map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1",
			"min.insync.replicas": "1",
		}
		got := map[string]string{}
		entries, err := topicConfig(admin, k.Topic(name))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if _, ok := want[entry.Name]; ok {
				got[entry.Name] = entry.Value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("settings of %s (-want +got):\n%s", name, diff)
		}
		described, err := admin.DescribeTopics([]string{k.Topic(name)})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(described[0].Partitions); n != partitions {
			t.Errorf("%s has %d partitions, want %d", name, n, partitions)
		}
	}

	if again := ensureTopics(t, k); again != topics {
		t.Errorf("the same topics are %+v, and then %+v", topics, again)
	}

	// A topic that was made anew has another id.
	if err := admin.DeleteTopic(k.Topic(eventlog.TopicCommands)); err != nil {
		t.Fatal(err)
	}
	var anew Topics
	eventually(t, "topic commands anew", func() bool {
		var err error
		anew, err = k.EnsureTopics(t.Context())
		if errors.Is(err, ErrTopic) {
			t.Fatal(err)
		}
		return err == nil && anew.CommandsID != topics.CommandsID
	})
	if anew.EventsID != topics.EventsID {
		t.Errorf("topics were %+v, and with new commands %+v", topics, anew)
	}
}

// All roles ensure the topics at start, maybe at the same time.
func TestEnsureTopicsAtOnce(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	found := make([]Topics, 4)
	var all errgroup.Group
	for i := range found {
		all.Go(func() (err error) {
			found[i], err = k.EnsureTopics(t.Context())
			return err
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	for _, topics := range found {
		if topics != found[0] {
			t.Errorf("found %+v and %+v", found[0], topics)
		}
	}
}

var keepForever = map[string]string{"retention.ms": "-1", "retention.bytes": "-1"}

func TestEnsureTopicsRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		topic       string
		partitions  int32
		config      map[string]string
		replication int16 // of the log's settings
		says        string
	}{
		"fewer partitions":   {eventlog.TopicEvents, partitions - 1, nil, 1, "events: has 5 partitions, and kafka.partitions is 6"},
		"more partitions":    {eventlog.TopicCommands, partitions + 1, nil, 1, "commands: has 7 partitions, and kafka.partitions is 6"},
		"one partition":      {eventlog.TopicDeadLetters, 1, nil, 1, "dead-letters: has 1 partitions, and kafka.partitions is 6"},
		"retention":          {eventlog.TopicEvents, partitions, map[string]string{"retention.ms": "86400000"}, 1, "events: retention.ms is 86400000, and must be -1"},
		"retention by size":  {eventlog.TopicCommands, partitions, map[string]string{"retention.bytes": "1000000"}, 1, "commands: retention.bytes is 1000000, and must be -1"},
		"compaction":         {eventlog.TopicEvents, partitions, map[string]string{"cleanup.policy": "compact"}, 1, "events: cleanup.policy is compact, and must be delete"},
		"compaction as well": {eventlog.TopicDeadLetters, partitions, map[string]string{"cleanup.policy": "compact,delete"}, 1, "dead-letters: cleanup.policy is compact,delete, and must be delete"},
		"small messages":     {eventlog.TopicEvents, partitions, map[string]string{"max.message.bytes": "999999"}, 1, "events: max.message.bytes is 999999, and must be 1000000 or more"},
		"unclean elections":  {eventlog.TopicEvents, partitions, map[string]string{"unclean.leader.election.enable": "true"}, 1, "events: unclean.leader.election.enable is true, and must be false"},
		"fewer replicas":     {eventlog.TopicCommands, partitions, nil, 3, "has 1 replicas, and kafka.replication is 3"},
		"fewer brokers":      {"", 0, nil, 3, "commands: can't be created with kafka.replication 3: there are fewer brokers"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKafka(t)
			if test.topic != "" {
				ensureTopicsBut(t, k, test.topic)
				config := maps.Clone(keepForever)
				maps.Copy(config, test.config)
				createTopic(t, k, test.topic, test.partitions, 1, config)
			}
			k.Replication = test.replication
			_, err := k.EnsureTopics(t.Context())
			refused(t, err, test.says)
		})
	}
}

// Dead letters may have a retention.
func TestEnsureTopicsLetsDeadLettersExpire(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	createTopic(t, k, eventlog.TopicDeadLetters, partitions, 1, map[string]string{"retention.ms": "86400000"})
	ensureTopics(t, k)
}

// Three brokers of kfake, because the embedded broker is one broker.
func TestEnsureTopicsReplicated(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	k := &Kafka{Brokers: cluster.ListenAddrs(), Partitions: partitions, Replication: 3, Log: quiet}
	ensureTopics(t, k)

	k.Prefix = "one."
	createTopic(t, k, eventlog.TopicEvents, partitions, 3, map[string]string{"retention.ms": "-1", "retention.bytes": "-1", "min.insync.replicas": "1"})
	_, err = k.EnsureTopics(t.Context())
	refused(t, err, "events: min.insync.replicas is 1, and must be 2 or more with kafka.replication 3")
}

// ensureTopicsBut creates topics, one of them wrong.
func ensureTopicsBut(t *testing.T, k *Kafka, but string) {
	t.Helper()
	for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
		if topic != but {
			createTopic(t, k, topic, partitions, 1, keepForever)
		}
	}
}

// refused checks for an ErrTopic, in one line with the given text.
func refused(t *testing.T, err error, says string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if !errors.Is(err, ErrTopic) {
		t.Errorf("is no ErrTopic: %v", err)
	}
	if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, says) {
		t.Errorf("%q: want one line with %q", text, says)
	}
}

func createTopic(t *testing.T, k *Kafka, topic string, partitions int32, replication int16, config map[string]string) {
	t.Helper()
	entries := map[string]*string{}
	for name, value := range config {
		entries[name] = &value
	}
	detail := &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replication, ConfigEntries: entries}
	admin := newAdmin(t, k)
	if err := admin.CreateTopic(k.Topic(topic), detail, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic is known", func() bool {
		described, err := admin.DescribeTopics([]string{k.Topic(topic)})
		return err == nil && errors.Is(described[0].Err, sarama.ErrNoError)
	})
}

// In a log of before v0.1.0 streams have no name of an aggregate.
func TestEnsureTopicsRefusesAnOldLog(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	ensureTopics(t, k)
	appendAll(t, k, newRecord("user/1", 1))
	ensureTopics(t, k)
	appendAll(t, k, newRecord("1", 1), newRecord("2", 1), newRecord("3", 1), newRecord("4", 1))
	_, err := k.EnsureTopics(t.Context())
	refused(t, err, "events: was written before v0.1.0, when streams had other names")
}

// Adding partitions to the topics, and setting kafka.partitions to their number,
// doesn't move the records.
func TestEnsureTopicsRefusesMorePartitions(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	ensureTopics(t, k)
	for id := range 40 {
		appendAll(t, k, newRecord("user/"+strconv.Itoa(id), 1))
	}
	ensureTopics(t, k)
	more := *k
	more.Partitions = 2 * partitions
	admin := newAdmin(t, k)
	for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
		if err := admin.CreatePartitions(k.Topic(topic), more.Partitions, nil, false); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the brokers know the new partitions", func() bool {
		_, err := more.EnsureTopics(t.Context())
		return err == nil || !strings.Contains(err.Error(), "has 6 partitions")
	})
	_, err := more.EnsureTopics(t.Context())
	refused(t, err, "events: was written with kafka.partitions 6, and not 12 (stream")
}

func TestCheckPlaces(t *testing.T) {
	t.Parallel()
	placed := func(n int32, ids ...int) [][]string {
		records := make([][]string, 12)
		for _, id := range ids {
			stream := "user/" + strconv.Itoa(id)
			at := eventlog.PartitionOf(stream, n)
			records[at] = append(records[at], stream)
		}
		return records
	}
	var ids []int
	for id := range 200 {
		ids = append(ids, id)
	}
	mixed := placed(6, ids[:100]...)
	for partition, more := range placed(12, ids[100:]...) {
		mixed[partition] = append(mixed[partition], more...)
	}
	foreign := placed(12, ids...)
	foreign[0] = append(foreign[0], foreign[1][0])
	tests := map[string]struct {
		records [][]string
		says    string // "" for no error
	}{
		"no records":               {placed(12), ""},
		"the right number":         {placed(12, ids...), ""},
		"half":                     {placed(6, ids...), "was written with kafka.partitions 6, and not 12"},
		"one":                      {placed(1, ids...), "was written with kafka.partitions 1, and not 12"},
		"written on with the new":  {mixed, "was written with several numbers of partitions"},
		"one of another program's": {foreign, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &Kafka{Partitions: 12, Log: quiet}
			err := k.checkPlaces(test.records)
			if test.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			refused(t, err, test.says)
		})
	}
}
