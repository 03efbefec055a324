package service

import (
	"strings"
	"testing"
)

// Setup makes missing topics and tables, can run again, and names wrong topics
// and tables.
func TestSetup(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.startBroker()
	for _, again := range []string{"", ", again"} {
		printed, code := s.app("setup")
		if want := "the topics are there, with 12 partitions each\nthe tables are there: "; code != exitOK || !strings.HasPrefix(printed, want) {
			t.Errorf("app setup%s: exit code %d, %q, want %q…", again, code, printed, want)
		}
	}
	printed, code := s.app("setup", "--set", "kafka.partitions=5")
	if code != exitFailed || strings.Contains(printed, "are there") || !strings.Contains(printed, "12 partitions") {
		t.Errorf("app setup, with another number of partitions: exit code %d, %q", code, printed)
	}
}
