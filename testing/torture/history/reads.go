package history

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// checkReads compares each answer to a read with the log up to the position of the
// answer, and the position with the requested position.
func (f *fold) checkReads(operations []Operation) (wrong []Violation) {
	for i := range operations {
		o := &operations[i]
		if o.IsCommand() || o.IsOperator() || o.Result() == Unknown {
			continue
		}
		if o.Result() == Unexpected {
			wrong = append(wrong, violation("unexpected answer", "%s of user %s: %d %s", o.Kind, o.User, o.HTTP, o.Slug))
			continue
		}
		at, err := eventlog.ParsePosition(o.Position)
		if err != nil {
			wrong = append(wrong, violation("unexpected answer", "%s of user %s, with position %q: %v", o.Kind, o.User, o.Position, err))
			continue
		}
		if o.Kind == Status {
			wrong = append(wrong, f.checkStatus(o, at)...)
			continue
		}
		wrong = append(wrong, f.checkState(o, at)...)
		wrong = append(wrong, f.checkAfter(o, at)...)
	}
	return append(wrong, checkNeverBack(operations)...)
}

// checkState checks that rows and position of an answer belong together.
func (f *fold) checkState(o *Operation, at eventlog.Position) []Violation {
	partition := eventlog.PartitionOf(users.Aggregate.Stream(o.User), f.Partitions)
	if want := f.before(o.User, at[partition]); !want.shows(o) {
		return []Violation{violation("not the fold of its position", "client %d read user %s as %d version %d %q active %t, at offset %d of partition %d, where the log says version %d %q status %d",
			o.Client, o.User, o.HTTP, o.Version, o.ReadName, o.Active, at[partition], partition, want.version, want.Name, want.Status)}
	}
	return nil
}

// shows says whether an answer shows this state.
func (s state) shows(o *Operation) bool {
	switch s.Status {
	case users.Absent:
		return o.HTTP == http.StatusNotFound
	case users.Deleted:
		return o.HTTP == http.StatusGone
	default:
		return o.HTTP == http.StatusOK && o.Version == s.version && o.ReadName == string(s.Name) && o.Active == (s.Status == users.Active)
	}
}

// checkAfter checks that an answer includes the position, or the command, of the
// Read-After.
func (f *fold) checkAfter(o *Operation, at eventlog.Position) []Violation {
	if o.After == "" {
		return nil
	}
	after, err := eventlog.ParseAwaited(o.After)
	if err != nil {
		return []Violation{violation("unexpected answer", "a client was given position %q: %v", o.After, err)}
	}
	if !at.Covers(after.Position) {
		return []Violation{violation("stale", "client %d read user %s after %v, and was given %v", o.Client, o.User, after.Position, at)}
	}
	if after.Command == nil {
		return nil
	}
	outcomes := f.outcomes[CommandKey{UserOf(after.Command.Stream), after.Command.ID}]
	if len(outcomes) == 0 || outcomes[0].Offset >= at[outcomes[0].Partition] {
		return []Violation{violation("stale", "client %d read user %s after command %s, and was given %v, which hasn't its outcome", o.Client, o.User, after.Command.ID, at)}
	}
	return nil
}

// checkStatus checks that an answered command has a status: the status by the log
// before the position of the answer.
func (f *fold) checkStatus(o *Operation, at eventlog.Position) []Violation {
	if o.HTTP != http.StatusOK {
		return []Violation{violation("status lost", "command %s of user %s: %d", o.CommandID, o.User, o.HTTP)}
	}
	want := string(Accepted)
	for _, e := range f.outcomes[CommandKey{o.User, o.CommandID}] {
		switch {
		case e.Offset >= at[e.Partition]:
		case isDeferred(&e.Record):
			want = string(Parked)
		default:
			want = cmp.Or(slugOf(&e.Record), string(Succeeded))
		}
	}
	if want != o.Slug {
		return []Violation{violation("another status", "command %s of user %s is %s, and at %v the log says %s", o.CommandID, o.User, o.Slug, at, want)}
	}
	return nil
}

// checkNeverBack checks that a client with Read-After never sees an older version.
func checkNeverBack(operations []Operation) (wrong []Violation) {
	type session struct {
		client int
		user   string
	}
	seen := map[session]uint64{}
	reads := make([]*Operation, 0, len(operations))
	for i := range operations {
		if o := &operations[i]; o.Kind == Read && o.HTTP == http.StatusOK {
			reads = append(reads, o)
		}
	}
	slices.SortStableFunc(reads, func(a, b *Operation) int { return cmp.Compare(a.Call, b.Call) })
	for _, o := range reads {
		of := session{o.Client, o.User}
		if o.Version < seen[of] {
			wrong = append(wrong, violation("back in time", "client %d read version %d of user %s, after version %d", o.Client, o.Version, o.User, seen[of]))
		}
		seen[of] = max(seen[of], o.Version)
	}
	return wrong
}
