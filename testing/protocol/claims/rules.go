package claims

// rule is one part of the protocol. A search without a rule shows the reason
// for the rule.
type rule uint32

const (
	takeFirst   rule = 1 << iota // a command that would add a value waits for a claim of the value
	queueBehind                  // … and later commands of the stream queue behind the command
	waitAnswer                   // … until the claim's stream has answered
	fenced                       // takes, answers and give-backs take effect once
	oneOwner                     // a value that another stream holds is refused
	ownSucceeds                  // taking a value that one's own stream holds succeeds
	ownerGives                   // only the owner gives back
	giveBack                     // values that the state no longer has are given back
	giveTaken                    // values taken for a command that ends otherwise are given back
	parkedKeeps                  // a parked command keeps what was taken
	sorted                       // a command takes one value after another, in the order of the values
	answered                     // a record is reacted to until all its commands are acknowledged
)
