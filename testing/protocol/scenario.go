package protocol

// Verb is the purpose of a command.
type Verb uint8

// The verbs.
const (
	Create  Verb = iota + 1
	Rename       // changes nothing if the name is the same
	Touchy       // creates or renames; the old binary's decision panics
	Novel        // creates or renames; the old binary doesn't know the type
	Requeue      // an operator's: let the deferred commands go on
	Drop         // an operator's: end the first deferred command undecided, and let the others go on
)

// Command is one message of topic commands. The command's place in the
// scenario's list is its place in the topic.
type Command struct {
	Verb Verb
	User uint8 // 0 or 1
	ID   uint8 // of the client; two messages may have the same id
	Name uint8
	// Expects is expectedVersion plus one, 0 for any version.
	Expects uint8
	// Drops is the command id that a Drop names.
	Drops uint8
}

func (c *Command) operators() bool { return c.Verb == Requeue || c.Verb == Drop }

// Binary is the program of a handler. In a rolling upgrade the two handlers
// have different binaries.
type Binary struct {
	// New is the newer binary: its rule makes other names, decides Touchy
	// without a panic, and knows Novel.
	New bool
	// Blind doesn't know the events of the newer binary.
	Blind bool
	// Remember is how many outcomes of a user the binary keeps, at least 1.
	Remember uint8
}

// faults is how often each fault may happen.
type faults struct {
	takeOvers uint8 // a handler claims the partition although its owner lives
	crashes   uint8 // the owner's memory is gone
	failures  uint8 // an append is given up, and lands at once, later, or never
	resets    uint8 // the group's offset goes back to the start
}

// Scenario is a small world: commands, two services, and possible faults.
type Scenario struct {
	Name     string
	Commands []Command
	// Handlers are two command services. The first has the partition.
	Handlers [2]Binary
	// Recreated is how many of the commands are in topic commands before the
	// topic is deleted and created again; the other commands are in the new
	// topic. 0 means that the topic stays.
	Recreated uint8
	// Cut says that the second topic is the first, which has lost its end: the
	// id is the same, and so the offsets go on behind the lost commands.
	Cut bool

	window int    // commands under way in a processor
	faults faults // of a deep search
}

// TopicOf tells which of the two topics commands has a command.
func (s *Scenario) TopicOf(command uint8) uint8 {
	if s.Recreated > 0 && command >= s.Recreated {
		return 1
	}
	return 0
}

// OffsetOf is a command's offset in its topic.
func (s *Scenario) OffsetOf(command uint8) uint8 { return command - s.startOf(s.TopicOf(command)) }

// PositionOf is a command's position in a record: the topic's id, and the
// offset. Behind a cut, fillers have the offsets that were used before.
func (s *Scenario) PositionOf(command uint8) (topic, offset uint8) {
	if s.Cut {
		return 0, command
	}
	return s.TopicOf(command), s.OffsetOf(command)
}

func (s *Scenario) startOf(topic uint8) uint8 {
	if topic == 1 {
		return s.Recreated
	}
	return 0
}

func (s *Scenario) endOf(topic uint8) uint8 {
	if topic == 0 && s.Recreated > 0 {
		return s.Recreated
	}
	return uint8(len(s.Commands))
}

var (
	today     = Binary{Remember: 3}
	tomorrow  = Binary{Remember: 3, New: true}
	forgetful = Binary{Remember: 1}
)

// Scenarios returns the scenarios of all tests.
func Scenarios() []*Scenario {
	return []*Scenario{
		{
			Name: "one user",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1, Expects: 1},
				{Verb: Rename, ID: 2, Name: 2, Expects: 2},
				{Verb: Rename, ID: 3, Name: 3, Expects: 2},
			},
			Handlers: [2]Binary{today, today},
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 2, resets: 1},
		},
		{
			Name: "two users",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Create, ID: 1, Name: 1, User: 1},
				{Verb: Rename, ID: 2, Name: 2},
			},
			Handlers: [2]Binary{today, today},
			window:   3,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "repeated ids",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 3, Name: 3},
				{Verb: Create, ID: 1, Name: 1},
			},
			Handlers: [2]Binary{forgetful, forgetful},
			window:   3,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "rolling upgrade",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 1},
				{Verb: Rename, ID: 3, Name: 2, Expects: 2},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "events of the newer binary",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
			},
			Handlers: [2]Binary{{Remember: 3, Blind: true}, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 2, resets: 1},
		},
		{
			Name: "unknown type",
			Commands: []Command{
				{Verb: Novel, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Novel, ID: 1, Name: 1},
				{Verb: Create, ID: 3, Name: 3, User: 1},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "unknown type, dropped",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Novel, ID: 2, Name: 2},
				{Verb: Rename, ID: 3, Name: 3},
				{Verb: Drop, ID: 4, Drops: 2},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "unknown type, parked before",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Novel, ID: 2, Name: 2},
				{Verb: Drop, ID: 3, Drops: 1},
				{Verb: Rename, ID: 4, Name: 4},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1},
		},
		{
			Name: "parked, requeued",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Requeue, ID: 3},
				{Verb: Rename, ID: 4, Name: 3},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "parked, dropped",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Touchy, ID: 2, Name: 2},
				{Verb: Drop, ID: 3, Drops: 1},
				{Verb: Create, ID: 4, Name: 3, User: 1},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1},
		},
		{
			Name: "parked, many deferred",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Touchy, ID: 3, Name: 3},
				{Verb: Requeue, ID: 4},
				{Verb: Rename, ID: 5, Name: 4},
			},
			Handlers: [2]Binary{today, tomorrow},
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1},
		},
		{
			Name: "dropped, parked again",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Create, ID: 2, Name: 2},
				{Verb: Touchy, ID: 3, Name: 3},
				{Verb: Rename, ID: 4, Name: 4},
				{Verb: Drop, ID: 5, Drops: 1},
				{Verb: Drop, ID: 6, Drops: 3},
			},
			Handlers: [2]Binary{today, today},
			window:   2,
			faults:   faults{takeOvers: 1, failures: 1},
		},
		{
			Name: "parked, repeated",
			Commands: []Command{
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Touchy, ID: 1, Name: 1},
				{Verb: Requeue, ID: 3},
				{Verb: Touchy, ID: 1, Name: 1},
			},
			Handlers: [2]Binary{forgetful, {Remember: 1, New: true}},
			window:   2,
			faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "commands made anew",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Rename, ID: 3, Name: 3},
				{Verb: Rename, ID: 4, Name: 4},
			},
			Handlers:  [2]Binary{forgetful, forgetful},
			Recreated: 2,
			window:    2,
			faults:    faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
		{
			Name: "commands lose their end",
			Commands: []Command{
				{Verb: Create, ID: 1, Name: 1},
				{Verb: Rename, ID: 2, Name: 2},
				{Verb: Rename, ID: 3, Name: 3},
				{Verb: Rename, ID: 4, Name: 4},
			},
			Handlers:  [2]Binary{forgetful, forgetful},
			Recreated: 2,
			Cut:       true,
			window:    2,
			faults:    faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
		},
	}
}
