package claims

const (
	users   = 2
	values  = 2
	streams = users + values
)

// verb is the purpose of a client's or operator's command.
type verb uint8

const (
	change  verb = iota + 1 // the state has these values and no others
	touchy                  // … the decision panics until the stream was requeued
	requeue                 // an operator's: the parked command goes on
	drop                    // an operator's: the parked command ends undecided
)

// Command is a command to a user. Commands of one user are decided in order.
type Command struct {
	Verb   verb
	User   uint8
	Values uint8 // a bit for each value
}

// faults is how often each fault may happen.
type faults struct {
	takeOvers uint8 // a process begins while the other goes on
	crashes   uint8 // the owner is killed
	failures  uint8 // a send is given up; the command lands at once, later, or never
	resets    uint8 // a process begins at the start of the log
}

// Scenario is a small world: two users, two values, and two processes that run
// the machine's own reaction.
type Scenario struct {
	Name     string
	Commands []Command
	Has      [users]uint8 // the values that the users have at first
	// Raced says that one of the users has a value at the end.
	Raced bool

	faults faults // of a deep search
}

func scenarios() []*Scenario {
	return []*Scenario{
		{
			Name:     "racers",
			Commands: []Command{{Verb: change, Values: 1}, {Verb: change, User: 1, Values: 1}},
			Raced:    true,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name:     "to and fro",
			Commands: []Command{{Verb: change, Values: 2}, {Verb: change, Values: 1}, {Verb: change, User: 1, Values: 1}},
			Has:      [users]uint8{1, 0},
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "parked, requeued",
			Commands: []Command{
				{Verb: touchy, Values: 1}, {Verb: change, Values: 2}, {Verb: requeue}, {Verb: change, User: 1, Values: 1},
			},
			faults: faults{takeOvers: 1, crashes: 1, resets: 1},
		},
		{
			Name:     "parked, dropped",
			Commands: []Command{{Verb: touchy, Values: 1}, {Verb: drop}, {Verb: change, User: 1, Values: 1}},
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name:     "two values",
			Commands: []Command{{Verb: change, Values: 3}, {Verb: change, User: 1, Values: 3}},
			Raced:    true,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name:     "the second is taken",
			Commands: []Command{{Verb: change, Values: 3}, {Verb: change, Values: 1}},
			Has:      [users]uint8{0, 2},
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
	}
}
