package service

import (
	"testing"

	"github.com/IBM/sarama"
)

// The clients of a process reach the broker of the process in memory: the broker
// sees its own address as theirs.
func TestBrokerOfTheSameProcess(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	if s.onKafka() {
		t.Skip("the broker is in another process")
	}
	s.accept(createAlice)
	s.waitForUser(alice)
	admin, err := sarama.NewClusterAdmin(s.brokers(), sarama.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close() }()
	described, err := admin.DescribeConsumerGroups([]string{s.topic("millrace.command-service"), s.topic("millrace.query-service.users")})
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range described {
		if len(group.Members) != 1 {
			t.Errorf("group %s has %d members", group.GroupId, len(group.Members))
		}
		for _, member := range group.Members {
			if member.ClientHost != s.brokers()[0] {
				t.Errorf("a member of group %s comes from %s", group.GroupId, member.ClientHost)
			}
		}
	}
}
