package protocol

// rule is one part of the protocol. A search without a rule shows the reason
// for the rule. The numbers are the numbers of the invariants in
// ARCHITECTURE.md.
type rule uint64

const (
	gate            rule = 1 << iota // a record counts only with its stream's next sequence number
	gateSeq                          // … by the number itself
	gatePrev                         // … and by the digest of the record before
	gateVersion                      // … and by the version
	speculating                      // 1: decide on top of the stream's appends in flight
	purity                           // 1: the same decision is the same record
	tellReadBack                     // 2: tell the outcome only once it is read back
	markReadBack                     // 2: mark the offset only once the outcome is read back
	ownRecord                        // 2: … the command's own outcome, not any record with the sequence number
	redecide                         // 3: decide again when another record has taken the sequence number
	redecideAll                      // 3: … all commands of the speculative state, too
	retry                            // 4: a failed append is never skipped
	retryDependent                   // 4: … and the records behind go again too
	retryBehind                      // 4: … even if the record itself counts in the end
	position                         // 5: decide nothing at or below the last decided position
	positionTopic                    // 5: … in the same topic
	positionEach                     // 5: … with one position kept for each topic
	newOffsets                       // 5: … and no offset of the topic used twice, by fillers behind a cut
	foldFirst                        // 6: fold the partition before touching it
	queueBehind                      // parking: queue new commands until all deferred commands are decided
	deferredInTurn                   // parking: decide a deferred command only while the command is the next to go on
	deferredOutcome                  // parking: remember the outcome of a deferred command as long as the command is deferred
	forgetBehind                     // parking: only outcomes of new commands evict outcomes
	queueUnknown                     // unknown: queue what only a newer binary can decide, and park nothing
	waitForNewer                     // unknown: a binary that can't decide the first deferred command leaves the queue alone
	repetition                       // find a repeated command at its turn, on top of the speculative state
	blindOutcome                     // remember an outcome even if the body can't be read
	sessionOnly                      // drop a fetched message with its session
	fenced                           // fence: a command of a reaction at or below the fence is a repetition
	fenceAtTurn                      // fence: … as of the command's turn, on top of the speculative state
	fenceCounts                      // fence: moved by records that count, by no other
	fenceTrims                       // fence: topic commands is trimmed beyond repetitions
	fenceBlind                       // fence: moved even if the body can't be read
	fenceApart                       // fence: outcomes of a reaction's commands evict no outcomes of clients
	dueByClock                       // later: a command is due once the clock has reached notBefore
	dueInTurn                        // later: due commands go by notBefore, then in the order of their scheduling
	dueTime                          // later: the record's time is notBefore
	dueQueued                        // later: a due command queues behind deferred commands
	dueExpects                       // later: expectedVersion is looked at when the command is due
	dueAnywhere                      // later: commands that another session has scheduled go on
	scheduledID                      // later: the id of a scheduled command is remembered until the command's end
	scheduledAlone                   // later: … and makes no other id kept
	endKeeps                         // later: the end of a scheduled command evicts nothing
	claimWaits                       // claims: a command that needs a claim is decided once the claim's stream has answered
	claimAnswers                     // claims: the answer is for the first deferred command alone
	cancelMarks                      // later: a cancelled command goes on nowhere
)
