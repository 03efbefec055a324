package reactions

// rule is one part of the protocol. A search without a rule shows the reason
// for the rule.
type rule uint32

const (
	fenced       rule = 1 << iota // target: a command at or below the stream's highest place is a repetition
	openApart                     // target: … but a command of an open cause stream has the highest place of that stream alone
	openBehind                    // target: … which no earlier command of the cause stream is behind
	forgetClosed                  // target: forget a cause stream that the next command doesn't name as open
	named                         // a command names the open cause streams
	namedUntil                    // … until a record says that the waiting causes are answered
	inTurn                        // send a command once the command before, to the same stream, is acknowledged
	sentAgain                     // send a failed command again
	answered                      // note as answered only causes whose commands are acknowledged
	noted                         // begin where the reaction's stream says, not at the group's offset
	unchanged                     // a record about progress counts only if its writer knew the reaction's stream as it is
	goBack                        // go back to the noted place when a cause stream is no longer open
	startNoted                    // begin where the reaction's stream says that the reaction starts
	gated                         // answer only records that count
	folded                        // … by what the fold noted about each record, not by the heads
	fromHeads                     // … nor by the chain from the heads back to where the reaction began to read
	foldFirst                     // fold the reaction's stream before touching a cause
)
