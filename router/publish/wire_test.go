package publish

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/kafka/embedded"
)

var update = flag.Bool("update", false, "write the golden files")

// The form of a message in Kafka never changes: add a golden file for another form.
func TestWireForm(t *testing.T) {
	broker, err := embedded.Start("localhost:0", t.TempDir(), false, embedded.Security{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = broker.Close() })
	k := &kafka.Kafka{Brokers: []string{broker.Addr()}, Partitions: 1, Replication: 1, Log: slog.New(slog.DiscardHandler)}
	public, err := k.PublicTopics()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = public.Close() })
	if err := public.Ensure(t.Context(), "users"); err != nil {
		t.Fatal(err)
	}
	topic := Topic{Name: "users", Aggregate: users.Aggregate}
	r := eventlog.Record{
		Offset: 7, Type: "userRenamed", Stream: "user/1", Time: time.Date(2026, 11, 30, 13, 14, 15, 16e6, time.UTC), Seq: 3, Version: 2,
		CommandID: "c-2", CommandHash: strings.Repeat("a", 64), Body: []byte(`{"id":1,"name":"Alicia"}`),
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	}
	r.Seal()
	if err := send(public, k.Log, topic, eventsID, &r); err != nil {
		t.Fatal(err)
	}
	consumer, err := sarama.NewConsumer(k.Brokers, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = consumer.Close() })
	from, err := consumer.ConsumePartition("users", 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = from.Close() })
	m := <-from.Messages()
	lines := []string{fmt.Sprintf("key: %s\n", m.Key)}
	for _, h := range m.Headers {
		lines = append(lines, fmt.Sprintf("%s: %s\n", h.Key, h.Value))
	}
	slices.Sort(lines)
	got := strings.Join(lines, "") + "\n" + string(m.Value) + "\n"
	file := filepath.Join("testdata", r.Type+".golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-golden +now):\n%s", diff)
	}
}
