package history

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/hostile"
)

// never is later than the whole run.
const never = time.Duration(1<<63 - 1)

// command is a command with all tries: a client without an answer sends the command
// again.
type command struct {
	*Operation // the first try
	tries      []*Operation

	sure   time.Duration // when the first answer said that Kafka has the command; or never
	shared time.Duration // when every later Read asks after the outcome; or never
	told   *Operation    // a try with the outcome; or nil
}

// commandsOf are the commands of a history.
func commandsOf(operations []Operation) map[CommandKey]*command {
	all := map[CommandKey]*command{}
	for i := range operations {
		o := &operations[i]
		if !o.IsCommand() {
			continue
		}
		key := CommandKey{o.User, o.CommandID}
		c := all[key]
		if c == nil {
			c = &command{Operation: o, sure: never, shared: never}
			all[key] = c
		}
		c.tries = append(c.tries, o)
		if o.Call < c.Call {
			c.Operation = o
		}
		result := o.Result()
		if result != Unknown && result != Unexpected {
			c.sure = min(c.sure, o.Return)
		}
		if o.Shared > 0 {
			c.shared = min(c.shared, o.Shared)
		}
		if c.told == nil && (result == Succeeded || result == Refused) {
			c.told = o
		}
	}
	return all
}

// inOrder are commands by call.
func inOrder(all map[CommandKey]*command) []*command {
	return slices.SortedFunc(maps.Values(all), func(a, b *command) int {
		return cmp.Or(cmp.Compare(a.Call, b.Call), cmp.Compare(a.User, b.User), cmp.Compare(a.CommandID, b.CommandID))
	})
}

// checkCommands compares the answers with the records that count.
func (f *fold) checkCommands(all map[CommandKey]*command) (wrong []Violation) {
	for _, c := range inOrder(all) {
		records := f.outcomes[CommandKey{c.User, c.CommandID}]
		if len(records) == 0 && c.sure != never {
			wrong = append(wrong, violation("lost", "%s was answered with %d at %s, and no record of it counts", c, c.answered().HTTP, c.sure))
		}
		for _, try := range c.tries {
			if r := try.Result(); r == Unexpected || r == Parked && !c.poisoned() {
				wrong = append(wrong, violation("unexpected answer", "%s: %d %s", c, try.HTTP, try.Slug))
			}
			if len(records) > 0 {
				wrong = append(wrong, checkAnswer(c, try, records)...)
			}
		}
	}
	return wrong
}

func (c *command) String() string { return c.Kind + " " + c.CommandID + " of user " + c.User }

// answered is a try whose answer says that Kafka has the command.
func (c *command) answered() *Operation {
	for _, try := range c.tries {
		if r := try.Result(); r != Unknown && r != Unexpected {
			return try
		}
	}
	return c.Operation
}

// checkAnswer compares an answer with the counting records of the command.
func checkAnswer(c *command, try *Operation, records []entry) (wrong []Violation) {
	result, is := try.Result(), outcomeOf(records)
	if is == nil { // the command waits
		is = &records[0]
	}
	slug := slugOf(&is.Record)
	switch {
	case result == Parked && !slices.ContainsFunc(records, func(e entry) bool { return e.Type == eventlog.TypeCommandParked }):
		return []Violation{violation("another outcome", "%s was answered that it is parked, and never was", c)}
	case result == Refused && slug == "":
		return []Violation{violation("refused, and took effect", "%s was refused (%s), and is %s in version %d", c, try.Slug, is.Type, is.Version)}
	case result == Refused && slug != try.Slug,
		result == Succeeded && (slug != "" || try.Version != is.Version):
		return []Violation{violation("another outcome", "%s was answered with %d %s version %d, and is %s %s version %d",
			c, try.HTTP, try.Slug, try.Version, is.Type, slug, is.Version)}
	case result == Succeeded:
		want := eventlog.EncodePosition(eventlog.Position{is.Partition: is.Offset + 1})
		if try.Position != want {
			return []Violation{violation("another outcome", "%s was told position %s, and its record is at %s", c, try.Position, want)}
		}
	}
	return nil
}

// checkRecords checks each record that counts: somebody sent the command, and the
// domain decides so.
func (f *fold) checkRecords(all map[CommandKey]*command) (wrong []Violation) {
	for _, user := range slices.Sorted(maps.Keys(f.streams)) {
		if hostile.IsStream(user) {
			continue
		}
		var before state
		var waits deferredQueue
		for _, e := range f.streams[user] {
			if o, is := f.Operators[CommandKey{user, e.CommandID}]; is {
				wrong = append(wrong, waits.operate(&e, o)...)
				before = e.after
				continue
			}
			c := all[CommandKey{user, e.CommandID}]
			if c == nil {
				wrong = append(wrong, violation("sent by nobody", "record %d of user %s is of command %s", e.Seq, user, e.CommandID))
				before = e.after
				continue
			}
			wrong = append(wrong, waits.take(&e, c, before)...)
			at, sent := f.Commands[e.Partition][e.CommandPosition.Offset]
			if f.Commands != nil && (!sent || at != CommandKey{user, e.CommandID}) {
				wrong = append(wrong, violation("wrong command", "record %d of user %s says that it is of command %s at offset %d, where topic commands has %q",
					e.Seq, user, e.CommandID, e.CommandPosition.Offset, at.ID))
			}
			before = e.after
		}
		wrong = append(wrong, waits.end(user)...)
	}
	return wrong
}

// checkSent checks that each command in Kafka was decided.
func (f *fold) checkSent() (wrong []Violation) {
	for partition := range f.Partitions {
		for _, offset := range slices.Sorted(maps.Keys(f.Commands[partition])) {
			key := f.Commands[partition][offset]
			if len(f.outcomes[key]) == 0 {
				wrong = append(wrong, violation("never decided", "command %s of user %s, at offset %d of partition %d", key.ID, key.User, offset, partition))
			}
		}
	}
	return wrong
}

// checkOrder checks the order of a user's commands: a command that was answered
// before another command was sent has the earlier record, whoever sent the commands.
func (f *fold) checkOrder(all map[CommandKey]*command) (wrong []Violation) {
	byUser := map[string][]*command{}
	for _, c := range inOrder(all) {
		byUser[c.User] = append(byUser[c.User], c)
	}
	place := func(c *command) uint64 {
		if outcomes := f.outcomes[CommandKey{c.User, c.CommandID}]; len(outcomes) > 0 {
			return outcomes[0].Seq
		}
		return 0
	}
	for _, user := range slices.Sorted(maps.Keys(byUser)) {
		for i, second := range byUser[user] {
			for _, first := range byUser[user][:i] {
				a, b := place(first), place(second)
				if first.sure < second.Call && a > 0 && b > 0 && a >= b {
					wrong = append(wrong, violation("out of order", "%s was answered before %s was sent, and they are records %d and %d", first, second, a, b))
				}
			}
		}
	}
	return wrong
}
