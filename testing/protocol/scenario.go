package protocol

import "github.com/millrace/millrace/testing/protocol/fence"

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
	Cancel       // end a scheduled command undecided
	Unique       // creates or renames, with a claim of the name
	Take         // the machine's: the claim's stream says that the stream has the name
	Deny         // … or that another stream has the name
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
	// Cancels is the command id that a Cancel names.
	Cancels uint8
	// Answers is the command id that a Take or Deny names. The command comes
	// once the named command has asked.
	Answers uint8
	// Cause is the place of the cause of a reaction's command, 0 for a client's
	// command.
	Cause fence.Place
	// CauseStream and Open are the rest of the command's view of causes.
	CauseStream, Open uint8
	// At is the time of acceptance, and NotBefore is the earliest time, if
	// larger.
	At, NotBefore uint8
}

func (c *Command) fence() fence.Command {
	return fence.Command{Place: c.Cause, Stream: c.CauseStream, Open: c.Open}
}

// passes reports whether a command passes a stream's queue, and isn't an
// operator's.
func (c *Command) passes() bool { return c.Verb == Cancel || c.Verb == Take || c.Verb == Deny }

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
	jumps     uint8 // a handler's clock goes back to 0
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
	// Until is the time at which clocks stop. Each handler has a clock of its
	// own.
	Until uint8

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
