package history

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// Log is both topics of Kafka at the end of a run.
type Log struct {
	Partitions int32
	// Records are all records of topic events, by partition, in order.
	Records map[int32][]eventlog.Record
	// Commands are the streams and ids of topic commands, by partition and
	// offset.
	Commands map[int32]map[int64]CommandKey
	// Operators are the operators' commands in topic commands.
	Operators map[CommandKey]OperatorCommand
	// HostileCommands are in topic commands, and HostileRecords in topic events.
	// The other fields have neither, apart from Records.
	HostileCommands, HostileRecords map[Place]HostileRecord
	// DeadLetters are the numbers of dead letters, by place in topic commands.
	DeadLetters map[Place]int
}

// CommandKey names a command: a command id is unique for a user.
type CommandKey struct{ User, ID string }

// UserOf is the id of a user, from the name of the stream.
func UserOf(stream string) string { return strings.TrimPrefix(stream, users.Aggregate.Stream("")) }

// state is the state of a user after an accepted record.
type state struct {
	users.User
	version uint64
}

// entry is an accepted record, with the state of the user then.
type entry struct {
	eventlog.Record
	after state
}

// fold is the accepted records of a log, by user.
type fold struct {
	*Log
	streams map[string][]entry // by user
	// outcomes are the accepted records of each command. A command that was never
	// deferred must have a single record.
	outcomes map[CommandKey][]entry
	ignored  int
	counted  map[Place]bool // the hostile records that count
}

// foldLog folds a log through the gate.
func foldLog(log *Log) (*fold, []Violation) {
	f := &fold{Log: log, streams: map[string][]entry{}, outcomes: map[CommandKey][]entry{}, counted: map[Place]bool{}}
	var wrong []Violation
	heads := map[string]eventlog.Head{}
	for partition := range log.Partitions {
		for _, r := range log.Records[partition] {
			user := UserOf(r.Stream)
			at := Place{r.Partition, r.Offset}
			_, strange := f.HostileRecords[at]
			if strange && (r.Malformed != nil || r.Unreadable != nil) {
				continue
			}
			if r.Malformed != nil || r.Unreadable != nil {
				wrong = append(wrong, violation("record unreadable", "partition %d, offset %d: %v %v", r.Partition, r.Offset, r.Malformed, r.Unreadable))
				continue
			}
			head, accepted := heads[r.Stream].Accept(&r)
			if !accepted {
				if !strange {
					f.ignored++
				}
				continue
			}
			f.counted[at] = strange
			heads[r.Stream] = head
			next, err := f.at(user).apply(&r)
			if err != nil && !strange {
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

// at is the state of a user after the last folded record.
func (f *fold) at(user string) state {
	entries := f.streams[user]
	if len(entries) == 0 {
		return state{}
	}
	return entries[len(entries)-1].after
}

// before is the state of a user after all records before an offset.
func (f *fold) before(user string, offset int64) state {
	var s state
	for _, e := range f.streams[user] {
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

// slugOf is the slug of a refused or deferred command's record, "" for other
// records.
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

// Violation is a broken promise.
type Violation struct {
	Rule   string
	Detail string
}

func violation(rule, format string, args ...any) Violation {
	return Violation{rule, strings.TrimSpace(fmt.Sprintf(format, args...))}
}

func (v Violation) String() string { return v.Rule + ": " + v.Detail }
