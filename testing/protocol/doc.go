// Package protocol is a model of the write side's protocol, and a search
// through everything that can happen to it. The binary has nothing of it: it
// is there for tests, and to be read.
//
// # What it stands for
//
// The rules that ARCHITECTURE.md tells of, and the code that follows them: the
// gate in messaging/chain.go; the fold in handlers/stream.go, decisions in
// decide.go and parking.go (here ledger.go); the desk in handlers/desk.go
// (here desk.go). A test beside that code, TestDesksFollowTheProtocol, has
// real desks go random ways through this model and fails unless they append
// the same records and mark the same offsets, step by step. So what the search
// finds here is true there.
//
// A [Scenario] is a handful of commands about one or two users, and two
// command services. In world.go stands what can happen at any moment: a
// command is delivered and decided, an append lands, or is given up and lands
// late or never, its handler hears of that and sends again, the ledger reads a
// record, a handler is killed, another takes the partition over while the
// first goes on as a zombie, the group's offset is reset, topic commands is
// made anew. The search looks at every order in which that can come, nearest
// first, and remembers where it has been. In promises.go stands what must hold
// throughout: one outcome for each command, in the order of the commands, each
// about the history before it; expectedVersion; nothing marked that is not
// decided, or would be decided again if it came again; nobody told what doesn't
// count. And wherever all has come to rest, nothing is lost and nothing is
// stuck.
//
// # How to run it
//
//	go test ./handlers/protocol                     some seconds
//	go test ./handlers/protocol -v                  and tables, and the shortest way to each broken promise
//	go test ./handlers/protocol -v -timeout 0 -deep every scenario to its end, with several faults at once
//
// The deep search of the whole protocol saw 63.8 million states in nine minutes
// on a busy machine, and no promise broken. It came to the end of each scenario
// but "parked, many held", of which it saw the nearest 20 million.
//
// # What each rule is there for
//
// TestEachRuleIsNeeded leaves out one rule at a time, and the search must find
// the promise that breaks. Four break none, and TestSomeRulesAreForSpeed holds
// that:
//
//   - The slot's number and the version in the gate: the digest of the record
//     before says as much. They are for people, for queries, and against
//     writers that follow no rules.
//   - Pure decisions (rule 1): with them, two writers append the same record,
//     and neither has to decide again. Indeed as long as both run the same
//     binary and read the same topic, and no command id comes twice, all they
//     ever append are copies. Slots are fought over in a rolling upgrade, about
//     a command id that one remembers and the other has forgotten, and after
//     topic commands was made anew. That is what prev is needed for.
//   - Folding a partition before touching it (rule 6): with the chain,
//     decisions about an old state lose their slot and are taken again. With
//     slot numbers for a gate, commands are lost.
//
// # What it leaves out
//
// Partitions, but for one; bodies and their hashes, dead letters, commands of
// unknown types, and time. Of Kafka it believes that a log never loses what it
// holds, that a producer keeps the order of what it has not given up, that the
// group refuses the offsets of members that are no longer in it, and that a
// fetched message is dropped with its session. The last is Watermill's doing:
// a session ends after its messages are acked. TestEachRuleIsNeeded shows what
// would happen otherwise.
//
// Some shortcuts make the search shorter and take no behaviour away:
//
//   - A record that the gate ignores is not kept in the log: every fold ignores
//     it, and it changes nothing.
//   - The group's offset is settled when somebody looks at it, and may then be
//     anything between the last one and what is marked.
//   - A zombie never finds out that it is one: it may do nothing from any
//     moment on, and that is the same.
//   - An append that nobody waits for lands only when the gate would accept it,
//     and is forgotten once it never will.
package protocol
