// Package protocol is a model of the write side's protocol, and a search
// through everything that can happen in the model. The binary has nothing of
// the package, which is for tests and for readers.
//
// # The model and the code
//
// The model has the rules of ARCHITECTURE.md, and a counterpart for the code:
//
//	record.go     records, digests and logs, and the gate's view of a log
//	state.go      the gate of router/eventlog; fold, decisions and parking of router/decider
//	processor.go  the partition processor of router/decider
//	appends.go    … and its appends, which may fail
//	timers.go     scheduled commands
//	claims.go     commands that wait for a claim
//	fences.go     repetitions among the commands of a reaction
//	world.go      topics, consumer group and handlers, and all events that can happen
//	promises.go   the promises that must hold throughout
//	rules.go      the rules, each of which a search can leave out
//	scenario.go   what a scenario has
//	scenarios.go  the scenarios
//	later.go      … with scheduled commands
//	search.go     the way to package explore, which searches through all orders of events
//	walk.go       a random way through a scenario, for real processors
//
// TestProcessorsFollowTheProtocol in router/decider leads real processors along
// random walks, and fails unless the processors append the same records and
// mark the same offsets at each step. So the results of a search hold for the
// code.
//
// Two models of their own stand beside the processor's: package reactions has
// the process that sends a reaction's commands, and package claims has values
// that are unique across streams. Package fence is shared.
//
// A [Scenario] is a handful of commands about one or two users, and two command
// services, called handlers. At any moment
//
//   - a command is delivered and decided;
//   - an append lands, or is given up and lands late or never;
//   - the handler hears of the failure, and sends again;
//   - a state store reads a record;
//   - a handler is killed;
//   - another handler takes the partition over, while the first goes on as a
//     zombie;
//   - the group's offset is reset;
//   - a handler's clock moves, or goes back to the start;
//   - topic commands is deleted and created again.
//
// The search looks at every order of these events, the nearest worlds first,
// and remembers visited worlds. Throughout, the promises must hold: one outcome
// for each command, in the order of the commands, each about the history
// before; expectedVersion; no mark of an undecided command, or of a command
// that another delivery would decide again; no client hears of an outcome that
// doesn't count. Where everything has come to rest, nothing is lost and nothing
// is stuck.
//
// # How to run the search
//
//	go test ./testing/protocol/...                 some seconds
//	go test ./testing/protocol -v                  and tables, and the shortest way to each broken promise
//	go test ./testing/protocol -v -timeout 0 -deep every scenario to its end, with several faults at once
//
// The deep search of the scenarios without reactions, times and claims visited 63.8 million states in nine
// minutes on a busy machine, and found no broken promise. The search came to
// the end of each scenario but "parked, many deferred", with the nearest 20
// million states visited there.
//
// # The reason for each rule
//
// TestEachRuleIsNeeded leaves out one rule at a time, and the search must find
// the promise that breaks. Four rules break no promise, and
// TestSomeRulesAreForSpeed checks these:
//
//   - The sequence number and the version in the gate: the digest of the record
//     before says as much. Number and version are for people, for queries, and
//     against writers that follow no rules.
//   - Pure decisions (rule 1): two writers with pure decisions append equal
//     records, and neither has to decide again. As long as both writers run the
//     same binary and read the same topic, and no command id comes twice, all
//     their records are copies. Writers compete for sequence numbers in a rolling
//     upgrade, about a command id that only one of the two remembers, and after
//     topic commands was created again. For these cases prev is needed.
//   - Folding a partition before touching it (rule 6): with the chain, decisions
//     about an old state lose their sequence number and are made again. With
//     sequence numbers for a gate, commands are lost.
//
// # Commands of reactions, and scheduled commands
//
// A command of a reaction is a repetition if its place is at or below the
// stream's fence. The fence is part of the stream's state: moved by each record
// that counts, also by one that lets the command wait, and asked on top of the
// speculative state. The command's id is not asked, and the outcome evicts no
// client's outcome.
//
// A command whose notBefore is after the acceptance time ends for now as
// scheduled. The stream's state has the scheduled commands; which is due follows
// from the state and the clock of the processor, at each look anew. So nothing
// is lost when a clock goes back, when a decision is overtaken, or when another
// process takes over. A due command is decided on top of the speculative state,
// like a deferred command, and its record has the time notBefore. The id of a
// scheduled command is exempt from eviction until the command's end, and the end
// itself evicts nothing: the next outcome of a new command does. Otherwise a
// repetition, which leaves no record, would be decided when offsets are reset.
// A command that cancels marks the scheduled command, which then ends as
// refused; cancelling and scheduling don't wait behind parked commands.
//
// A command that needs a claim ends for now as claiming, and waits at the head of
// the deferred commands. A command of the machine's own reaction brings the
// answer, and the waiting command is decided again. Here the answers are part of
// the scenario; package claims has the other half.
//
// # What the model leaves out
//
// Partitions, but for one; bodies and their hashes, and dead letters. The
// model believes that a log never loses records, that a producer keeps the
// order of the appends that are not given up, that
// the group refuses the offsets of members that have left, and that a fetched
// message is dropped with its session. The last is true because of Watermill: a
// session ends after its messages are acked. TestEachRuleIsNeeded shows the
// consequence otherwise.
//
// Some shortcuts make the search shorter and take no behaviour away:
//
//   - The log has no ignored records: every fold ignores such a record.
//   - The group's offset is settled when somebody looks, and is then any offset
//     between the last look and the mark.
//   - A zombie never finds out that it is a zombie: a zombie may do nothing from
//     any moment on, with the same effect.
//   - An append without a waiter lands only if the gate accepts the record, and
//     is forgotten once the gate never will.
package protocol
