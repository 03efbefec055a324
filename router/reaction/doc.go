// Package reaction is the contract for authors of reactions: processes over
// several aggregates, such as a transfer between two accounts. The package
// imports the standard library and package aggregate.
//
// A [Reaction] is a pure function from a record of the log to commands. The
// router calls React for every record that counts, in the order of each stream,
// and sends the commands. Each command takes effect once, whatever crashes,
// freezes or comes back late. A reaction has no state: what a process must
// remember is an aggregate, and its events are records like all others.
//
//	var Reaction = &reaction.Reaction{
//		Name:  "transfers",
//		Of:    []string{"transfer", "account"},
//		React: react,
//	}
//
// An error or a panic parks the stream of the record in this reaction: later
// records of the stream wait for an operator, who retries or skips the record.
// Other streams go on.
//
// Reactions start no work of their own: rebuilding a read model, verifying, or a
// new state store send nothing.
//
// Package reactiontest tests a reaction by given and then.
package reaction
