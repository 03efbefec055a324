package history

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// Log is what Kafka has in the end.
type Log struct {
	Partitions int32
	// Records are all of topic events, by partition, in order.
	Records map[int32][]eventlog.Record
	// Commands are the streams and ids of topic commands, by partition and
	// offset.
	Commands map[int32]map[int64]CommandKey
	// Operators are those of topic commands that operators sent.
	Operators map[CommandKey]OperatorCommand
}

// CommandKey names a command: its id belongs to its user.
type CommandKey struct{ User, ID string }

// UserOf is the id of the user whose stream has a name.
func UserOf(stream string) string { return strings.TrimPrefix(stream, users.Aggregate.Stream("")) }

// state is a user after an accepted record.
type state struct {
	users.User
	version uint64
}

// entry is an accepted record, with the user after it.
type entry struct {
	eventlog.Record
	after state
}

// fold is what counts of a log.
type fold struct {
	*Log
	streams map[string][]entry
	// outcomes are the accepted records of each command: one, if all is well
	// and it was not held.
	outcomes map[CommandKey][]entry
	ignored  int
}

// foldLog folds through the gate.
func foldLog(log *Log) (*fold, []Violation) {
	f := &fold{Log: log, streams: map[string][]entry{}, outcomes: map[CommandKey][]entry{}}
	var wrong []Violation
	heads := map[string]eventlog.Head{}
	for partition := range log.Partitions {
		for _, r := range log.Records[partition] {
			user := UserOf(r.Stream)
			if r.Malformed != nil || r.Unreadable != nil {
				wrong = append(wrong, violation("record unreadable", "partition %d, offset %d: %v %v", r.Partition, r.Offset, r.Malformed, r.Unreadable))
				continue
			}
			head, accepted := heads[r.Stream].Accept(&r)
			if !accepted {
				f.ignored++
				continue
			}
			heads[r.Stream] = head
			next, err := f.at(user).apply(&r)
			if err != nil {
				wrong = append(wrong, violation("record unreadable", "partition %d, offset %d: %v", r.Partition, r.Offset, err))
			}
			e := entry{r, next}
			f.streams[user] = append(f.streams[user], e)
			key := CommandKey{user, r.CommandID}
			f.outcomes[key] = append(f.outcomes[key], e)
		}
	}
	return f, wrong
}

// at is the user as the last folded record leaves it.
func (f *fold) at(stream string) state {
	entries := f.streams[stream]
	if len(entries) == 0 {
		return state{}
	}
	return entries[len(entries)-1].after
}

// before is the user by all records before an offset.
func (f *fold) before(stream string, offset int64) state {
	var s state
	for _, e := range f.streams[stream] {
		if e.Offset >= offset {
			break
		}
		s = e.after
	}
	return s
}

func (s state) apply(r *eventlog.Record) (state, error) {
	s.version = r.Version
	if !eventlog.IsEvent(r.Type) {
		return s, nil
	}
	event, err := users.Aggregate.DecodeEvent(r.Type, r.Body)
	if err != nil {
		return s, err
	}
	s.User, _ = users.Aggregate.Apply(s.User, event).(users.User)
	return s, nil
}

// slugOf is why a record says no, "" if it doesn't.
func slugOf(r *eventlog.Record) string {
	switch r.Type {
	case eventlog.TypeCommandRefused:
		var body struct {
			Problem string `json:"problem"`
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return "unreadable"
		}
		return body.Problem
	case eventlog.TypeCommandParked, eventlog.TypeCommandQueued:
		return "command-parked"
	default:
		return ""
	}
}

// Violation is a promise that was broken.
type Violation struct {
	Rule   string
	Detail string
}

func violation(rule, format string, args ...any) Violation {
	return Violation{rule, strings.TrimSpace(fmt.Sprintf(format, args...))}
}

func (v Violation) String() string { return v.Rule + ": " + v.Detail }
