package protocol

// rule is one part of the protocol that can be switched off, to see what it is
// there for.
type rule uint32

const (
	gate              rule = 1 << iota // a record counts only if it takes its stream's next slot
	gateSeq                            // the gate looks at the slot's number
	gatePrev                           // the gate looks at the digest of the record before
	gateVersion                        // the gate counts versions
	stacking                           // rule 1: decide on top of the appends in flight
	purity                             // rule 1: the same decision is the same record
	tellReadBack                       // rule 2: tell the outcome only once it is read back
	markReadBack                       // rule 2: mark the offset only once the outcome is read back
	ownRecord                          // rule 2: that of the command, not whatever took the slot
	redecide                           // rule 3: when another record took the slot, decide again
	redecideAll                        // rule 3: and all that was stacked on it
	retry                              // rule 4: a failed append is never skipped
	retryStacked                       // rule 4: it takes along what is stacked on it
	retryBehind                        // rule 4: even if it turns out to have its outcome
	position                           // rule 5: nothing at or below the last decided position is decided
	positionTopic                      // rule 5: the position names the topic's id
	positionEachTopic                  // rule 5: and there is one for each topic
	foldFirst                          // rule 6: fold the partition before touching it
	queueWhileHeld                     // parking: commands wait for all that are held
	repetitions                        // a repetition needs no record of its own
	headersOutcome                     // an outcome is remembered though its body can't be read
	ownSession                         // a message is dropped with its session
)
