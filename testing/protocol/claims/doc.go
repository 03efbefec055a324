// Package claims is a model of values that are unique across streams, and a
// search through everything that can happen in the model. Claims aren't built
// yet: the model comes first.
//
//	scenario.go  users, values, commands and faults
//	log.go       streams of users and claims, and their fold
//	decide.go    decisions, and the machine's own reaction
//	world.go     everything that can happen
//	promises.go  the promises
//	rules.go     the rules, each of which a search can leave out
//	search.go    the way to package explore
//
// # The rules
//
// All that waits is in the log. A command whose event would add a value ends for
// now as a record that asks for the value, and later commands of the stream
// queue behind the command, as behind a parked command. The machine's own
// reaction makes a command to the claim's stream of the record, and of the
// claim's record a command with the answer to the user's stream. Then the first
// waiting command is decided again, on the same state. A record that ends a
// command names the values to give back: those that the state no longer has, and
// those taken for a command that ends otherwise. The reaction makes commands of
// these, too.
//
// So a crash between take, decision and give-back is a crash of a reaction, and
// each decision is a function of one stream. Nobody has to look up the outcome
// of a take in another partition, or to remember a pending take in memory.
//
// A command with several values takes one after another, in the order of the
// values. If two racers took theirs at once, each could have one, and both would
// be refused.
//
// The reaction sends in the order of places, and its commands take effect once.
// Because of that, no stream is ever asked to take what its owner has, and
// nobody but the owner ever gives back; TestSomeRulesAreForSafety shows that
// these two rules are for safety only.
//
// # What the model leaves out
//
// Several streams in a partition, and processors: a stream decides in the moment
// of landing. The model of the processor, package protocol, has a command that
// waits for a claim under speculations and take-overs. A rolling upgrade whose binaries take other values for the same
// command. Open streams of causes, which the machine's own reaction, without a
// domain's code, never has.
package claims
