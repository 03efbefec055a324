package protocol

// rule is one part of the protocol that can be left out, to see what it is
// there for. The numbers are those of the handler's rules.
type rule uint32

const (
	gate            rule = 1 << iota // a record counts only if it takes its stream's next slot
	gateSeq                          // … which the gate knows by the slot's number
	gatePrev                         // … and by the digest of the record before
	gateVersion                      // … and it counts the version on
	speculating                      // 1: decide on top of the stream's appends in flight
	purity                           // 1: the same decision is the same record
	tellReadBack                     // 2: tell the outcome only once it is read back
	markReadBack                     // 2: mark the offset only once the outcome is read back
	ownRecord                        // 2: … the command's own, not whatever took the slot
	redecide                         // 3: when another record took the slot, decide again
	redecideAll                      // 3: … all that was stacked on it too
	retry                            // 4: a failed append is never skipped
	retryDependent                   // 4: … and what is stacked on it goes again with it
	retryBehind                      // 4: … even if the record itself turns out to count
	position                         // 5: decide nothing at or below the last decided position
	positionTopic                    // 5: … in the same topic
	positionEach                     // 5: … with one position kept for each topic
	foldFirst                        // 6: fold the partition before touching it
	queueBehind                      // parking: commands are queued until all that is held is decided
	deferredInTurn                   // parking: a held command is decided only while it is the one that goes on next
	deferredOutcome                  // parking: a held command is remembered as long as it is held
	forgetBehind                     // parking: outcomes are forgotten only for those of new commands
	repetition                       // what repeats a command is found so at its turn, on top of the stack
	blindOutcome                     // an outcome is remembered even if its body can't be read
	sessionOnly                      // a fetched message is dropped with its session
)
