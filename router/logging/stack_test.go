package logging

import (
	"regexp"
	"testing"
)

// recovered calls a function of a team, which panics.
func recovered(f func()) (stack string) {
	defer func() {
		if recover() != nil {
			stack = Stack("logging.recovered")
		}
	}()
	f()
	return ""
}

// A stack has the team's functions, and nothing of the machine or the process.
func TestStack(t *testing.T) {
	t.Parallel()
	once, again := "", ""
	for _, stack := range []*string{&once, &again} {
		*stack = recovered(func() { panic("no") })
	}
	want := regexp.MustCompile(`^runtime\.gopanic\n\tpanic\.go:\d+\n\S+logging\.TestStack\.func1\n\tstack_test\.go:\d+\n$`)
	if !want.MatchString(once) || once != again {
		t.Errorf("the stacks are\n%s\n%s", once, again)
	}
}
