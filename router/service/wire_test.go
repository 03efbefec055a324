package service

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	diff "github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// Any other client can list and read the topics: keys are streams, headers are
// CloudEvents.
func TestAnotherClientReadsTheLog(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for n, command := range []string{
		`{"type":"createUser","payload":{"id":1,"name":"Alice"}`,
		`{"type":"createUser","payload":{"id":"zoë/1","name":"Zoë <z>"}`,
		`{"type":"renameUser","payload":{"id":1,"name":"Alison"}`,
		`{"type":"createUser","payload":{"id":1,"name":"Alice"}`,
		`{"type":"renameUser","payload":{"id":1,"name":"Alison"}`,
		`{"type":"deactivateUser","payload":{"id":1}`,
		`{"type":"reactivateUser","payload":{"id":1}`,
		`{"type":"deleteUser","payload":{"id":1}`,
	} {
		s.accept(fmt.Sprintf(`%s,"id":"c-%d"}`, command, n+1))
	}
	s.waitForUsers(s.history())

	for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents} {
		messages := s.dump(topic)
		slices.SortStableFunc(messages, func(a, b *sarama.ConsumerMessage) int { return cmp.Compare(string(a.Key), string(b.Key)) })
		var text strings.Builder
		for _, m := range messages {
			text.WriteString(onTheWire(m))
		}
		golden(t, filepath.Join("testdata", topic+".golden"), text.String())
	}

	client, err := sarama.NewClient(s.brokers(), sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	topics, err := client.Topics()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{eventlog.TopicCommands, eventlog.TopicDeadLetters, eventlog.TopicEvents} {
		partitions, err := client.Partitions(s.topic(name))
		if !slices.Contains(topics, s.topic(name)) || len(partitions) != 12 {
			t.Errorf("topic %s: %d partitions, %v; topics are %q", name, len(partitions), err, topics)
		}
	}
}

// varies is the parts that differ with each run: the time, the id of a topic,
// and the digests over both.
var varies = map[string]*regexp.Regexp{
	eventlog.HeaderTime:            regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`),
	eventlog.HeaderCommandPosition: regexp.MustCompile(`^[A-Za-z0-9_-]{22}/`),
	eventlog.HeaderPrev:            regexp.MustCompile(`^[0-9a-f]*[1-9a-f][0-9a-f]*$`),
}

// onTheWire is a message as text. Varying parts are replaced by ….
func onTheWire(m *sarama.ConsumerMessage) string {
	headers := map[string]string{}
	for _, h := range m.Headers {
		key, value := string(h.Key), string(h.Value)
		if pattern := varies[key]; pattern != nil {
			value = pattern.ReplaceAllString(value, "…")
		}
		headers[key] = value
	}
	text := fmt.Sprintf("key: %s\n", m.Key)
	for _, key := range slices.Sorted(maps.Keys(headers)) {
		text += key + ": " + headers[key] + "\n"
	}
	return text + "\n" + string(m.Value) + "\n\n"
}

// golden compares a text with a file, or writes the file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}
