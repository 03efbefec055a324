package history

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/hostile"
)

// Place is the place of a record in a topic.
type Place struct {
	Partition int32
	Offset    int64
}

// HostileRecord is a record that no gateway and no command service wrote.
type HostileRecord struct {
	Fate hostile.Fate
	Kind string
	Key  CommandKey // of a command
}

// Elsewhere is the number of records of topic events in other partitions than
// their streams'.
func (l *Log) Elsewhere() (n int) {
	for _, records := range l.Records {
		for i := range records {
			if errors.Is(records[i].Malformed, eventlog.ErrElsewhere) {
				n++
			}
		}
	}
	return n
}

// checkHostile checks that each hostile record has its fate, that no other
// record is a dead letter, and that no hostile stream is parked.
func (f *fold) checkHostile() (wrong []Violation) {
	for _, at := range inPlace(f.HostileCommands) {
		r := f.HostileCommands[at]
		if is := f.fateOf(at, r); is != "" {
			wrong = append(wrong, violation("hostile command", "%s, at offset %d of partition %d, must be %s: %s", r.Kind, at.Offset, at.Partition, r.Fate, is))
		}
	}
	for _, at := range inPlace(f.DeadLetters) {
		if r := f.HostileCommands[at]; r.Fate != hostile.Dead && r.Fate != hostile.Any {
			wrong = append(wrong, violation("dead letter", "the command %s at offset %d of partition %d is in the dead letters", r.Kind, at.Offset, at.Partition))
		}
	}
	for _, at := range inPlace(f.HostileRecords) {
		r := f.HostileRecords[at]
		if counts := f.counted[at]; r.Fate == hostile.Ignored && counts || r.Fate == hostile.Counting && !counts {
			wrong = append(wrong, violation("hostile record", "%s, at offset %d of partition %d, must be %s, and counts: %t", r.Kind, at.Offset, at.Partition, r.Fate, counts))
		}
	}
	for _, user := range slices.Sorted(maps.Keys(f.streams)) {
		for i := range f.streams[user] {
			if r := &f.streams[user][i]; hostile.IsStream(user) && r.Type == eventlog.TypeCommandParked {
				wrong = append(wrong, violation("hostile command", "record %d of %s parks the stream: %s", r.Seq, user, r.Body))
			}
		}
	}
	return wrong
}

func inPlace[V any](of map[Place]V) []Place {
	return slices.SortedFunc(maps.Keys(of), func(a, b Place) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
}

// fateOf says what is wrong with the end of a hostile command, "" for nothing.
func (f *fold) fateOf(at Place, r HostileRecord) string {
	records := f.outcomes[r.Key]
	switch r.Fate {
	case hostile.Dead:
		if f.DeadLetters[at] == 0 {
			return "is not in the dead letters"
		}
	case hostile.Decided:
		if outcomeOf(records) == nil {
			return "has no outcome"
		}
	case hostile.Waiting:
		if len(records) == 0 {
			return "has no record"
		}
		var body struct {
			Reason string `json:"reason"`
		}
		if err := json.Unmarshal(records[0].Body, &body); err != nil || records[0].Type != eventlog.TypeCommandQueued || !eventlog.AwaitsBinary(body.Reason) {
			return "the first record is " + records[0].Type + " " + string(records[0].Body)
		}
		if is := outcomeOf(records); is == nil || slugOf(&is.Record) != dropped {
			return "was not dropped by an operator"
		}
	}
	return ""
}
