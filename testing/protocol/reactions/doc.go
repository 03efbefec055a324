// Package reactions is a model of the machine that runs reactions, and a search
// through everything that can happen in the model. The machine isn't built yet:
// the model comes first.
//
// A reaction is a pure function from a record that counts, the cause, to
// commands. The promise: each command takes effect once, in the order of the
// causes of a stream, whatever crashes, freezes or comes back late.
//
//	target.go      a target stream, whose fence knows repetitions
//	checkpoint.go  the reaction's own stream: how far the reaction is, and what is parked
//	process.go     a command service that runs the reaction
//	world.go       everything that can happen
//	promises.go    the promises
//	rules.go       the rules, each of which a search can leave out
//	scenario.go    the scenarios
//	search.go      the way to package explore
//	walk.go        a random way through a scenario, for the model of the processor
//
// # The rules
//
// A command's place is the place of the cause in topic events, and the number of
// the command among those of the cause. Commands to one stream go in the order
// of their places, each after the acknowledgement of the command before: behind
// a failed send, a later command would move the fence, and the failed command
// would be taken for a repetition.
//
// A cause stream is open from the record on that parks one of its causes, until
// a record says that all its causes up to the noted place are answered. Between
// these two records, the reaction passes over the stream's causes, and names the
// stream in every command. A target that sees the name gives the stream a
// highest place of its own, which begins at the highest place until then. So the
// fence, like the command, has an entry for each open stream, however many
// causes wait.
//
// The reaction's own stream is the checkpoint: the first cause that may be
// unanswered, and for each open stream the first unanswered cause. A process
// begins there. The group's offset won't do: the offset says nothing about the
// open streams that its writer knew. For the same reason a note counts only if
// the writer knew the newest version of the stream, which is what
// expectedVersion says. A process that reads that a stream is no longer open
// goes back to the noted place, because the process may have passed over causes
// behind that place.
//
// Which records count is what the fold found when the fold came by. The model
// has the two other ways: today's heads lose causes, and going from the heads
// back to where the process began takes a copy of an older record for a record
// that counts.
//
// # What the model leaves out
//
// All partitions but one on each side, topic ids, the limit of open streams and
// of the depth, and the outcomes as causes. A target decides a command in the
// moment of landing. The model of the processor, package protocol, has the fence
// under speculations, take-overs and parking. The two models share package
// fence, and TestProcessorsTakeSends leads random sends of this model through
// that one; no search has all ways of both.
package reactions
