package reactions

import "github.com/millrace/millrace/testing/protocol/fence"

// rule is one part of the protocol. A search without a rule shows the reason
// for the rule.
type rule uint32

const (
	fenced       = rule(fence.Highest)
	openApart    = rule(fence.Apart)
	openBehind   = rule(fence.Behind)
	forgetClosed = rule(fence.Forget)
)

const (
	named       rule = 1 << (fence.Rules + iota) // a command names the open cause streams
	namedUntil                                   // … until a record says that the waiting causes are answered
	inTurn                                       // send a command once the command before, to the same stream, is acknowledged
	sentAgain                                    // send a failed command again
	answered                                     // note as answered only causes whose commands are acknowledged
	noted                                        // begin where the reaction's stream says, not at the group's offset
	unchanged                                    // a note counts only if the writer knew the reaction's stream as it is
	goBack                                       // go back to the noted place when a cause stream is no longer open
	startNoted                                   // begin where the reaction's stream says that the reaction starts
	gated                                        // answer only records that count
	folded                                       // … by what the fold found, not by the heads
	fromHeads                                    // … nor by the chain from the heads back to where the reaction began to read
	foldFirst                                    // fold the reaction's stream before touching a cause
	parkEarlier                                  // park a cause that fails before the parked one, in place of the parked one
)
