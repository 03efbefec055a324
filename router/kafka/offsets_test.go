package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// An assignment starts at the offset from Setup: below, at, or above the
// group's offset.
func TestAssignmentStart(t *testing.T) {
	t.Parallel()
	const none = -1
	tests := map[string]struct {
		committed, start, first int64
	}{
		"back":                    {3, 1, 1},
		"back to the start":       {3, 0, 0},
		"forward":                 {3, 5, 5},
		"as committed":            {3, Committed, 3},
		"as it happens":           {3, 3, 3},
		"forward, none committed": {none, 4, 4},
		"none committed":          {none, Committed, 0},
	}
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 6)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.committed != none {
				commit(t, k, k.Prefix+testGroup+t.Name(), eventlog.TopicCommands, 1, test.committed)
			}
			c := &assignee{setup: func(assignment *Assignment) (int64, error) {
				if first := assignment.Done().Next(); first >= 0 {
					t.Errorf("first message %d before the setup", first)
				}
				if assignment.Partition == 1 {
					return test.start, nil
				}
				return Committed, nil
			}}
			m := joinAs(t, k, testGroup+t.Name(), eventlog.TopicCommands, c, nil)
			for offset := test.first; offset < 6; offset++ {
				if at := m.next(t); at != (Place{1, offset}) {
					t.Errorf("%v came, want offset %d", at, offset)
				}
			}
			first := c.assignment(1).Done().Next()
			if nobodySaid := test.committed == none && test.start == Committed; nobodySaid && first >= 0 || !nobodySaid && first != test.first {
				t.Errorf("the first message is %d, want %d", first, test.first)
			}
		})
	}
}

// Only marks move the group's offset, not acks. Marks during Cleanup count too.
func TestMarks(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicCommands, 1, 6)
	consume := func(c *assignee, from int64) *member {
		t.Helper()
		m := join(t, k, eventlog.TopicCommands, c, nil)
		for offset := from; offset < 6; offset++ {
			if at := m.next(t); at != (Place{1, offset}) {
				t.Errorf("%v came, want offset %d", at, offset)
			}
		}
		return m
	}
	group := k.Prefix + testGroup

	consume(&assignee{}, 0).leave(t)
	c := &assignee{}
	m := consume(c, 0)
	if marks := committed(t, k, group, eventlog.TopicCommands); marks[1] > 0 {
		t.Errorf("marked by acks: %v", marks)
	}
	c.assignment(1).Mark(2)
	eventually(t, "the mark, while the assignment is held", func() bool { return committed(t, k, group, eventlog.TopicCommands)[1] == 2 })
	c.assignment(1).Mark(3)
	c.assignment(1).Mark(1) // more work is done
	m.leave(t)
	consume(&assignee{cleanup: func(assignment *Assignment) {
		if assignment.Partition == 1 {
			assignment.Mark(5)
		}
	}}, 3).leave(t)
	consume(&assignee{}, 5)
}

// After the topic was made anew or trimmed, the topic may not have the group's
// offset.
func TestCommittedOffsetGone(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ committed, trimmed, first int64 }{
		"below the start": {1, 3, 3},
		"beyond the end":  {100, 0, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newLog(t)
			messagesIn(t, k, eventlog.TopicCommands, 1, 5)
			if test.trimmed > 0 {
				if err := newAdmin(t, k).DeleteRecords(k.Topic(eventlog.TopicCommands), map[int32]int64{1: test.trimmed}); err != nil {
					t.Fatal(err)
				}
			}
			commit(t, k, k.Prefix+testGroup, eventlog.TopicCommands, 1, test.committed)
			m := join(t, k, eventlog.TopicCommands, &assignee{}, nil)
			if at := m.next(t); at != (Place{1, test.first}) {
				t.Errorf("%v came, want offset %d", at, test.first)
			}
		})
	}
}

// A handler's start must exist: a fold must not start at another offset.
func TestAssignmentStartGone(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	messagesIn(t, k, eventlog.TopicEvents, 1, 5)
	c := &assignee{setup: func(assignment *Assignment) (int64, error) {
		if assignment.Partition == 1 {
			return 100, nil
		}
		return Committed, nil
	}}
	began := time.Now()
	m := join(t, k, eventlog.TopicEvents, c, nil)
	eventually(t, "it says what is wrong", func() bool { return errors.Is(m.Ready(), ErrOffsetGone) })
	eventually(t, "it tries again", func() bool { return c.setups.Load() == 2*partitions })
	if took := time.Since(began); took < time.Second {
		t.Errorf("tried again after %v", took)
	}
	m.leave(t)
	if len(m.places) > 0 {
		t.Errorf("%v came", m.next(t))
	}
}
