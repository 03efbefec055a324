package service

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/config"
)

// Somebody adds partitions to the topics, and sets kafka.partitions: the start is
// refused. The log is copied then to topics with so many partitions, and all goes
// on there, with nothing lost.
func TestMorePartitions(t *testing.T) {
	t.Parallel()
	s := terminals(t)
	const n = 40
	for id := range n {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"A"}}`, id+1))
	}
	renameAll(s, n)
	s.waitForUser(user{ID: "40", Name: "B", Version: 2, Active: true})
	services := []*service{s.commandService, s.queryService, s.readAPI}
	for _, service := range services {
		service.signal(t, syscall.SIGTERM)
		if code := service.exit(t, patience); code != exitOK {
			t.Fatalf("exit code %d: %s", code, &service.stderr)
		}
	}
	addPartitions(s, 24)
	more := settings{"kafka.partitions": "24"}
	eventually(t, "the start is refused", func() error { // brokers learn of the partitions one after another
		refused := launch(t, s.commandService.set.with(more), s.commandService.args...)
		if code := refused.exit(t, patience); code == exitOK || !strings.Contains(refused.stderr.String(), "was written with kafka.partitions 12, and not 24") {
			return fmt.Errorf("exit code %d: %s", code, &refused.stderr)
		}
		return nil
	})

	prefix := s.shared["kafka.topic_prefix"]
	s.wantApp(exitOK, []string{"copied 80 records"}, "log", "copy", "--to", prefix+"wide.", "--partitions", "24")
	s.wantApp(exitFailed, []string{"has records already"}, "log", "copy", "--to", prefix+"wide.", "--partitions", "24")
	more["kafka.topic_prefix"] = prefix + "wide."
	more["store.driver"], more["store.sqlite.path"] = "sqlite", filepath.Join(t.TempDir(), "wide.db")
	for key, value := range more {
		s.shared[key] = value
	}
	for _, service := range services {
		service.set = service.set.with(more)
		service.launch()
	}
	for _, service := range services {
		service.waitUntilReady(t)
	}
	s.waitForUser(user{ID: "40", Name: "B", Version: 2, Active: true})
	s.wantProven()
	for id := range n {
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":%d,"name":"C"}}`, id+1))
	}
	for id := range n {
		s.waitForUser(user{ID: users.ID(fmt.Sprint(id + 1)), Name: "C", Version: 3, Active: true})
	}
}

// partitions is the number of partitions of the stack's topics.
func (s *stack) partitions() int32 {
	n, err := strconv.ParseInt(cmp.Or(s.shared["kafka.partitions"], fmt.Sprint(config.Default().Kafka.Partitions)), 10, 32)
	if err != nil {
		s.t.Fatal(err)
	}
	return int32(n)
}

func addPartitions(s *stack, n int32) {
	s.t.Helper()
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	admin, err := sarama.NewClusterAdmin(s.brokers(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	for _, topic := range []string{"commands", "events", "dead-letters"} {
		if err := admin.CreatePartitions(s.shared["kafka.topic_prefix"]+topic, n, nil, false); err != nil {
			s.t.Fatal(err)
		}
	}
}
