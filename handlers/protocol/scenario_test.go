package protocol

// verb is what a command asks.
type verb uint8

const (
	create  verb = iota + 1
	rename       // nothing changes if the name is the same
	touchy       // a create or rename whose decision panics in the old binary
	requeue      // an operator's: decide what is held after all
	drop         // an operator's: end the parked command undecided
)

// command is one message of topic commands. Its place in the scenario's list
// is its place in the topic.
type command struct {
	verb verb
	user uint8
	id   uint8 // the client's; two messages may have the same one
	name uint8
	// expects is the expectedVersion and one more, 0 without one.
	expects uint8
	drops   uint8 // the command id that a drop names
}

func (c command) operators() bool { return c.verb == requeue || c.verb == drop }

// binary is the program that a handler runs. In a rolling upgrade the two
// handlers run different ones.
type binary struct {
	new      bool  // has other rules: names come out differently, and touchy is mended
	blind    bool  // can't read what the new one writes
	remember uint8 // outcomes of a user, for clients that repeat themselves
}

// faults is how many times each may happen.
type faults struct {
	takeOvers uint8 // somebody claims the partition whose owner lives
	crashes   uint8 // memory gone
	failures  uint8 // an append is reported as failed; it may land all the same, later, or never
	resets    uint8 // the group's offset goes back to the start
}

// scenario is a bounded world: what is asked of whom, and what may go wrong.
type scenario struct {
	name     string
	commands []command
	handlers [2]binary
	window   int // commands under way at a desk
	// recreated is the number of commands in topic commands before it is
	// deleted and made anew with the others in it; 0 if it never is.
	recreated uint8
	faults    faults
}

// topicOf says in which of the two topics a command stands.
func (s *scenario) topicOf(c uint8) uint8 {
	if s.recreated > 0 && c >= s.recreated {
		return 1
	}
	return 0
}

// offsetOf is a command's offset in its topic.
func (s *scenario) offsetOf(c uint8) uint8 { return c - s.startOf(s.topicOf(c)) }

func (s *scenario) startOf(topic uint8) uint8 {
	if topic == 1 {
		return s.recreated
	}
	return 0
}

func (s *scenario) endOf(topic uint8) uint8 {
	if topic == 0 && s.recreated > 0 {
		return s.recreated
	}
	return uint8(len(s.commands))
}

var (
	today    = binary{remember: 3}
	tomorrow = binary{remember: 3, new: true}
)

// scenarios are the worlds that are searched, small enough for every run of
// the tests. [deeper] makes them larger.
var scenarios = []*scenario{
	{
		name: "one user",
		commands: []command{
			{verb: create, user: 0, id: 1, name: 1, expects: 1},
			{verb: rename, user: 0, id: 2, name: 2, expects: 2},
			{verb: rename, user: 0, id: 3, name: 3, expects: 2},
			{verb: create, user: 0, id: 4, name: 4},
		},
		handlers: [2]binary{today, today},
		window:   2,
		faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "two users",
		commands: []command{
			{verb: create, user: 0, id: 1, name: 1},
			{verb: create, user: 1, id: 1, name: 1},
			{verb: rename, user: 0, id: 2, name: 2},
		},
		handlers: [2]binary{today, today},
		window:   2,
		faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "repeated ids",
		commands: []command{
			{verb: create, user: 0, id: 1, name: 1},
			{verb: rename, user: 0, id: 2, name: 2},
			{verb: create, user: 0, id: 1, name: 1},
			{verb: rename, user: 0, id: 3, name: 3},
		},
		handlers: [2]binary{{remember: 1}, {remember: 1}},
		window:   3,
		faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "rolling upgrade",
		commands: []command{
			{verb: create, user: 0, id: 1, name: 1},
			{verb: rename, user: 0, id: 2, name: 1},
			{verb: rename, user: 0, id: 3, name: 2, expects: 2},
		},
		handlers: [2]binary{today, tomorrow},
		window:   2,
		faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "upgrade with new events",
		commands: []command{
			{verb: create, user: 0, id: 1, name: 1},
			{verb: create, user: 0, id: 1, name: 1},
			{verb: rename, user: 0, id: 2, name: 2},
		},
		handlers: [2]binary{{remember: 3, blind: true}, tomorrow},
		window:   2,
		faults:   faults{takeOvers: 2, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "parking, requeue",
		commands: []command{
			{verb: touchy, user: 0, id: 1, name: 1},
			{verb: rename, user: 0, id: 2, name: 2},
			{verb: requeue, user: 0, id: 3},
			{verb: rename, user: 0, id: 4, name: 3},
		},
		handlers: [2]binary{today, tomorrow},
		window:   2,
		faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "parking, drop",
		commands: []command{
			{verb: touchy, user: 0, id: 1, name: 1},
			{verb: touchy, user: 0, id: 2, name: 2},
			{verb: drop, user: 0, id: 3, drops: 1},
			{verb: create, user: 1, id: 4, name: 3},
		},
		handlers: [2]binary{today, tomorrow},
		window:   2,
		faults:   faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
	},
	{
		name: "commands recreated",
		commands: []command{
			{verb: create, user: 0, id: 1, name: 1},
			{verb: rename, user: 0, id: 2, name: 2},
			{verb: rename, user: 0, id: 3, name: 3},
			{verb: rename, user: 0, id: 4, name: 4},
		},
		handlers:  [2]binary{{remember: 1}, {remember: 1}},
		window:    2,
		recreated: 2,
		faults:    faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1},
	},
}
