// Package fence is the part of a stream's state that knows the repetitions among
// the commands of a reaction. The models of both sides use the package: the
// model of the processor, and the model of the reaction.
//
// A fence belongs to one reaction and one partition of topic events. Commands of
// one cause stream come in the order of their places, and so do the commands of
// all cause streams that aren't open.
package fence

// Streams is the number of cause streams in a model.
const Streams = 2

// Place is the place of a command: the record that caused the command, and
// which of the record's commands the command is. 0 stands before all places.
type Place uint8

// Command is all that a fence sees of a command.
type Command struct {
	Place  Place
	Stream uint8 // of the cause
	Open   uint8 // a bit for each cause stream that the reaction has passed over
}

// Fence is the state. The zero value has seen no command.
type Fence struct {
	highest Place
	open    uint8          // a bit for each cause stream with a place of its own
	own     [Streams]Place // the highest place of an open cause stream's commands
}

// Rule is a part of the fence that a search can leave out.
type Rule uint32

// The rules.
const (
	Highest Rule = 1 << iota // a command at or below the highest place is a repetition
	Apart                    // an open cause stream has a highest place of its own
	Behind                   // … and a command at or below that place is a repetition
	Forget                   // forget the place of a cause stream that the next command doesn't name
	Rules   = iota
)

// Bit is the bit of a cause stream.
func Bit(stream uint8) uint8 { return 1 << stream }

// Repeats reports whether a command was here before.
func (f *Fence) Repeats(c Command, without Rule) bool {
	switch apart := f.open&Bit(c.Stream) != 0; {
	case without&Highest != 0, apart && without&Behind != 0:
		return false
	case apart:
		return c.Place <= f.own[c.Stream]
	default:
		return c.Place <= f.highest
	}
}

// Fold folds a record that ends a command, or lets the command wait. A cause
// stream is open for the fence from the command on that names the stream, and
// until a later command doesn't.
func (f *Fence) Fold(c Command, without Rule) {
	for s := range uint8(Streams) {
		switch apart := f.open&Bit(s) != 0; {
		case c.Place <= f.highest, without&Apart != 0:
		case c.Open&Bit(s) != 0 && !apart:
			f.open |= Bit(s)
			f.own[s] = f.highest
		case c.Open&Bit(s) == 0 && apart && without&Forget == 0:
			f.open &^= Bit(s)
			f.own[s] = 0
		}
	}
	if f.open&Bit(c.Stream) != 0 {
		f.own[c.Stream] = max(f.own[c.Stream], c.Place)
	}
	f.highest = max(f.highest, c.Place)
}
