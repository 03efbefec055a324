package reactions

import "github.com/millrace/millrace/testing/protocol/fence"

const (
	causeStreams = fence.Streams
	targets      = 2
	maxCauses    = 6
	maxCommands  = 2 // of a cause
)

// Cause is a record of a partition of topic events.
type Cause struct {
	Stream uint8
	// Copy is the place of the record of which this is a copy, plus one. A copy
	// doesn't count.
	Copy uint8
	// Targets are the streams that the reaction sends a command to, each plus
	// one.
	Targets [maxCommands]uint8
	// Fails says that the reaction may fail at the cause.
	Fails bool
}

// faults is how often each fault may happen.
type faults struct {
	takeOvers uint8 // a process begins while the other, frozen or not, goes on
	crashes   uint8 // a process is killed
	failures  uint8 // a send is given up; the command lands at once, later, or never
	panics    uint8 // the reaction fails at a cause that may fail
	skips     uint8 // an operator skips a parked cause, and retries none
	notes     uint8 // a process notes its progress although nobody waits for the note
}

// Scenario is a small world: the records of a partition, two processes that run
// the reaction, and two target streams.
type Scenario struct {
	Name   string
	Causes []Cause
	// Ends are the ends of the log as the two processes see them when the
	// reaction is registered, plus one: the reaction starts at one of the two.
	// 0 means that the reaction started at the beginning.
	Ends [2]uint8

	faults faults // of a deep search
}

func to(list ...uint8) (t [maxCommands]uint8) {
	for i, target := range list {
		t[i] = target + 1
	}
	return t
}

func scenarios() []*Scenario {
	return []*Scenario{
		{
			Name:   "one target",
			Causes: []Cause{{Targets: to(0)}, {Targets: to(0, 0), Stream: 1}, {Targets: to(0)}},
			faults: faults{takeOvers: 2, crashes: 1, failures: 2, notes: 2},
		},
		{
			Name:   "two targets",
			Causes: []Cause{{Targets: to(0, 1)}, {Targets: to(1), Stream: 1}, {Targets: to(1, 0)}},
			faults: faults{takeOvers: 1, crashes: 1, failures: 2, notes: 2},
		},
		{
			Name: "a cause fails",
			Causes: []Cause{
				{Targets: to(0), Fails: true}, {Targets: to(0), Stream: 1}, {Targets: to(0)}, {Targets: to(0), Stream: 1},
			},
			faults: faults{takeOvers: 1, crashes: 1, failures: 1, panics: 2, notes: 1},
		},
		{
			Name: "a cause fails late",
			Causes: []Cause{
				{Targets: to(0), Stream: 1}, {Targets: to(0), Fails: true}, {Targets: to(0), Stream: 1}, {Targets: to(0)},
				{Targets: to(0), Stream: 1},
			},
			faults: faults{takeOvers: 2, failures: 1, panics: 1, notes: 1},
		},
		{
			Name: "two streams fail",
			Causes: []Cause{
				{Targets: to(0), Fails: true}, {Targets: to(0), Stream: 1, Fails: true}, {Targets: to(0)}, {Targets: to(0), Stream: 1},
			},
			faults: faults{takeOvers: 1, crashes: 1, panics: 2, skips: 1, notes: 1},
		},
		{
			Name: "fails between two targets",
			Causes: []Cause{
				{Targets: to(0), Fails: true}, {Targets: to(1), Stream: 1}, {Targets: to(0, 1)}, {Targets: to(0), Stream: 1},
			},
			faults: faults{takeOvers: 1, crashes: 1, panics: 1, failures: 1, notes: 1},
		},
		{
			Name:   "one stream",
			Causes: []Cause{{Targets: to(0), Fails: true}, {Targets: to(0)}},
			faults: faults{takeOvers: 2, crashes: 1, failures: 1, panics: 2, skips: 1, notes: 1},
		},
		{
			Name:   "two causes of a stream fail",
			Causes: []Cause{{Targets: to(0), Fails: true}, {Targets: to(0), Fails: true}, {Targets: to(0)}},
			faults: faults{takeOvers: 1, crashes: 1, failures: 1, panics: 2, notes: 1},
		},
		{
			Name:   "copies in the log",
			Causes: []Cause{{Targets: to(0)}, {Targets: to(0), Stream: 1}, {Copy: 1, Targets: to(0)}, {Targets: to(0)}},
			faults: faults{takeOvers: 1, crashes: 1, failures: 1, notes: 2},
		},
		{
			Name:   "a new reaction",
			Causes: []Cause{{Targets: to(0)}, {Targets: to(0)}, {Targets: to(0)}},
			Ends:   [2]uint8{2, 3},
			faults: faults{takeOvers: 2, crashes: 1, failures: 1, notes: 1},
		},
	}
}
