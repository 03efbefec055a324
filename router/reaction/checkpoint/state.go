package checkpoint

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// State is a reaction's place in a partition. Each command that the reaction
// still has to send is of a cause behind Next, or of an open stream.
type State struct {
	// Started says that the reaction has a place.
	Started bool `json:"started"`
	// TopicID is the id of topic events. The offsets are of this topic.
	TopicID string `json:"topicId"`
	// Next is the offset of the first cause that may be unanswered.
	Next int64 `json:"next"`
	// Open are the streams whose causes from a place on may be unanswered,
	// although causes of other streams behind that place are answered.
	Open map[string]Open `json:"open,omitempty"`
}

// Open is an open stream of causes.
type Open struct {
	// Parked says that the causes wait for an operator. Otherwise the causes are
	// answered in turn.
	Parked bool `json:"parked"`
	// From is the offset of the first unanswered cause.
	From int64 `json:"from"`
	// Reason says why the cause was parked, in at most 1 KiB.
	Reason string `json:"reason"`
}

// maxOpenBytes bounds the names of the open streams as a JSON array. Their names
// are a header of each command.
const maxOpenBytes = 16 << 10

// Names are the open streams, sorted.
func (s State) Names() []string { return slices.Sorted(maps.Keys(s.Open)) }

// HasRoom reports whether another stream can be open. The names of all open
// streams must fit the header ce_open.
func (s State) HasRoom(stream string) bool {
	if _, open := s.Open[stream]; open {
		return true
	}
	names, err := json.Marshal(append(s.Names(), stream))
	return err == nil && len(s.Open) < eventlog.MaxOpen && len(names) <= maxOpenBytes
}

// Waits reports whether a cause is not the next of its stream in the order of
// the log, because the stream is open.
func (s State) Waits(stream string, offset int64) bool {
	o, open := s.Open[stream]
	return open && offset >= o.From
}

// Answered reports whether a cause is answered for sure. Before the place where a
// stream was parked, a cause behind Next may be unanswered: the process that had sent
// its commands, and parked a later cause, may have been killed before Kafka had them.
func (s State) Answered(stream string, offset int64) bool {
	return offset < s.Next && !s.Waits(stream, offset)
}

// with is the state with a stream open in another way.
func (s State) with(stream string, o Open) State {
	open := maps.Clone(s.Open)
	if open == nil {
		open = map[string]Open{}
	}
	open[stream] = o
	s.Open = open
	return s
}

// Name is the name of the aggregate.
const Name = "reaction"

// ID is the id of a reaction's place in a partition, "<name>/<partition>".
func ID(reaction string, partition int32) string {
	return reaction + "/" + strconv.Itoa(int(partition))
}

// Stream is the name of a reaction's stream of a partition.
func Stream(reaction string, partition int32) string { return Name + "/" + ID(reaction, partition) }

// Parse reads the name of a reaction's stream.
func Parse(stream string) (reaction string, partition int32, ok bool) {
	name, id, _ := aggregate.SplitStream(stream)
	reaction, number, _ := strings.Cut(id, "/")
	n, err := strconv.ParseInt(number, 10, 32)
	partition = int32(n)
	return reaction, partition, err == nil && name == Name && n >= 0 && ID(reaction, partition) == id && reaction != ""
}

var errID = errors.New("must be <reaction>/<partition>")

func parseID(text string) (string, error) {
	if _, _, ok := Parse(Name + "/" + text); !ok {
		return "", errID
	}
	return text, nil
}

// The refusals of reactions.
var (
	ErrNotParked = &aggregate.Refusal{Slug: "not-parked", Detail: "the reaction has no parked cause of this stream, or another one by now"}
	ErrFull      = &aggregate.Refusal{Slug: "too-many-open", Detail: "the reaction has as many open streams as it may have"}
)

// Aggregate is the aggregate "reaction".
var Aggregate = aggregate.Of(aggregate.Definition[State]{
	Name: Name, Plural: "reactions", ParseID: parseID,
	Commands: []func() aggregate.Command[State]{
		func() aggregate.Command[State] { return new(StartReaction) },
		func() aggregate.Command[State] { return new(ParkCause) },
		func() aggregate.Command[State] { return new(RetryCause) },
		func() aggregate.Command[State] { return new(SkipCause) },
		func() aggregate.Command[State] { return new(NoteProgress) },
	},
	Events: []func() aggregate.Event[State]{
		func() aggregate.Event[State] { return new(ReactionStarted) },
		func() aggregate.Event[State] { return new(CauseParked) },
		func() aggregate.Event[State] { return new(CauseRetried) },
		func() aggregate.Event[State] { return new(CauseSkipped) },
		func() aggregate.Event[State] { return new(ReactionProgressed) },
	},
	Refusals: []*aggregate.Refusal{ErrNotParked, ErrFull},
})
