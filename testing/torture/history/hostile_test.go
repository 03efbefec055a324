package history

import (
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/hostile"
)

func TestHostileRecords(t *testing.T) {
	t.Parallel()
	command := func(w *world, fate hostile.Fate) Place {
		at := Place{partition, 90}
		w.log.HostileCommands = map[Place]HostileRecord{at: {Fate: fate, Key: CommandKey{"hostile-1", "h1"}}}
		return at
	}
	dead := func(w *world, at Place) { w.log.DeadLetters = map[Place]int{at: 1} }
	// of appends records of a hostile stream.
	of := func(w *world, types ...string) {
		head := eventlog.Head{}
		for _, recordType := range types {
			r := eventlog.Record{
				Partition: partition, Offset: int64(len(w.log.Records[partition])), Type: recordType, Stream: "user/hostile-1",
				Seq: head.Seq + 1, Prev: head.Digest, CommandID: "h1", Body: []byte(`{"reason":"unknown-type","problem":"command-dropped"}`),
			}
			r.Seal()
			head, _ = head.Accept(&r)
			w.log.Records[partition] = append(w.log.Records[partition], r)
		}
	}
	record := func(w *world, fate hostile.Fate, offset int64) {
		w.log.HostileRecords = map[Place]HostileRecord{{partition, offset}: {Fate: fate}}
	}
	tests := []struct {
		name string
		do   func(*world)
		want []string
	}{
		{"a dead letter", func(w *world) { dead(w, command(w, hostile.Dead)) }, nil},
		{"no dead letter", func(w *world) { command(w, hostile.Dead) }, []string{"hostile command"}},
		{"a dead letter of an aborted transaction", func(w *world) { dead(w, command(w, hostile.Any)) }, nil},
		{"a dead letter of the traffic", func(w *world) { dead(w, Place{partition, 1}) }, []string{"dead letter"}},
		{"a dead letter that can be decided", func(w *world) {
			of(w, eventlog.TypeCommandRefused)
			dead(w, command(w, hostile.Decided))
		}, []string{"dead letter"}},
		{"a filler", func(w *world) { command(w, hostile.Skipped) }, nil},
		{"decided", func(w *world) {
			of(w, eventlog.TypeCommandRefused)
			command(w, hostile.Decided)
		}, nil},
		{"not decided", func(w *world) { command(w, hostile.Decided) }, []string{"hostile command"}},
		{"waited, and dropped", func(w *world) {
			of(w, eventlog.TypeCommandQueued, eventlog.TypeCommandRefused)
			command(w, hostile.Waiting)
		}, nil},
		{"waits", func(w *world) {
			of(w, eventlog.TypeCommandQueued)
			command(w, hostile.Waiting)
		}, []string{"hostile command"}},
		{"an unknown type is refused", func(w *world) {
			of(w, eventlog.TypeCommandRefused)
			command(w, hostile.Waiting)
		}, []string{"hostile command"}},
		{"an unknown type is lost", func(w *world) { command(w, hostile.Waiting) }, []string{"hostile command"}},
		{"parked", func(w *world) { of(w, eventlog.TypeCommandParked) }, []string{"hostile command"}},
		{"a record that doesn't count", func(w *world) {
			w.log.Records[partition] = append(w.log.Records[partition], eventlog.Record{Partition: partition, Offset: 5, Malformed: eventlog.ErrElsewhere})
			record(w, hostile.Ignored, 5)
		}, nil},
		{"a record counts", func(w *world) { record(w, hostile.Ignored, 2) }, []string{"hostile record"}},
		{"a record should count", func(w *world) { record(w, hostile.Counting, 99) }, []string{"hostile record"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := good()
			test.do(w)
			w.check(t, test.want)
		})
	}
}
