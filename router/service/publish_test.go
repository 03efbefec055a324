package service

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// publicEvents are the events of a public topic by stream, as "id type body", in
// the order of the topic without repeats. The version must be the next, once
// repeats are dropped.
func (s *stack) publicEvents(topic string) (events map[string][]string, repeats int) {
	s.t.Helper()
	events = map[string][]string{}
	seen := map[string]bool{}
	for _, m := range s.dump(topic) {
		stream, id := string(m.Key), header(m, eventlog.HeaderID)
		if seen[id] {
			repeats++
			continue
		}
		seen[id] = true
		events[stream] = append(events[stream], fmt.Sprintf("%s %s %s", id, header(m, eventlog.HeaderType), m.Value))
		if version := header(m, eventlog.HeaderVersion); version != strconv.Itoa(len(events[stream])) || header(m, eventlog.HeaderSubject) != stream {
			s.t.Errorf("%s: event %s of %s has version %s, and is the %d. one", topic, id, header(m, eventlog.HeaderSubject), version, len(events[stream]))
		}
	}
	return events, repeats
}

// wantPublic waits until public topics have the events of users in the log.
func (s *stack) wantPublic(topics ...string) {
	s.t.Helper()
	want := map[string][]string{}
	for stream, records := range s.history() {
		for _, r := range records {
			if name, _, _ := aggregate.SplitStream(stream); name == users.Aggregate.Name() && eventlog.IsEvent(r.Type) {
				want[stream] = append(want[stream], fmt.Sprintf("%s %s %s", r.ID, r.Type, r.Body))
			}
		}
	}
	for _, topic := range topics {
		eventually(s.t, "the public topic has all events", func() error {
			got, _ := s.publicEvents(topic)
			if diff := cmp.Diff(want, got); diff != "" {
				return fmt.Errorf("events of %s (-log +topic):\n%s", topic, diff)
			}
			return nil
		})
	}
}

// deleteGroup deletes a consumer group once the group has no members.
func (s *stack) deleteGroup(group string) {
	s.t.Helper()
	admin, err := sarama.NewClusterAdmin(s.brokers(), sarama.NewConfig())
	s.must(err)
	defer func() { s.must(admin.Close()) }()
	eventually(s.t, "the group is deleted", func() error { return admin.DeleteConsumerGroup(s.topic(group)) })
}

// Two command services, killed under load, leave no event out of the
// public topic, and the versions of a stream in order once repeats are dropped. A new
// topic is filled by one command, and kept up once it is in publish.
func TestPublicTopicOfKilledServices(t *testing.T) {
	underLoad(t)
	t.Parallel()
	rounds := 8
	if fullSize() {
		rounds = 60
	}
	s := newStack(t)
	s.shared["publish"] = "user"
	s.startBroker()
	both := make([]*service, 2)
	for i := range both {
		both[i] = s.service(settings{"roles": "command-service", "data_dir": t.TempDir()})
		both[i].start()
	}
	s.commandService = both[0]
	rng := rand.New(rand.NewPCG(16, 8))
	for range rounds {
		load, wanted := s.loadOfRenames(), 50+rng.Int64N(300)
		eventually(t, "more commands", func() error {
			if got := load.accepted.Load(); got < wanted {
				return fmt.Errorf("%d commands are accepted, want %d", got, wanted)
			}
			return nil
		})
		victim := both[rng.IntN(2)]
		victim.kill()
		load.stop()
		victim.launch()
		both[0].waitUntilReady(t)
	}
	s.wantPublic("users")
	_, repeats := s.publicEvents("users")
	t.Logf("%d events were repeated", repeats)

	again := s.topic("again")
	s.wantApp(exitOK, []string{"to topic " + again}, "publish", "rebuild", "user", again)
	s.wantPublic("again")
	if _, repeats := s.publicEvents("again"); repeats > 0 {
		t.Errorf("the rebuild has repeated %d events", repeats)
	}
	s.wantApp(exitOK, []string{"wrote 0 events"}, "publish", "rebuild", "user", again)
	s.wantApp(exitUsage, []string{"there twice"}, "publish", "rebuild", "user", s.topic("users"))
	s.wantApp(exitUsage, []string{"the router's own"}, "publish", "rebuild", "user", s.topic("events"))
	s.wantApp(exitUsage, []string{`"none=x"`, "must be one of"}, "publish", "rebuild", "none", "x")

	for _, victim := range both {
		victim.kill()
		victim.set["publish"] = "user,user=" + again
	}
	s.deleteGroup("millrace.command-service")
	for _, victim := range both {
		victim.launch()
		victim.waitUntilReady(t)
	}
	s.accept(`{"type":"createUser","payload":{"id":1000,"name":"Both"}}`)
	s.wantPublic("users", "again")
	if _, repeats := s.publicEvents("again"); repeats > 0 {
		t.Errorf("the services have repeated %d events of a complete topic", repeats)
	}
}
