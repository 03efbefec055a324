package bank

import (
	"maps"
	"slices"
	"strings"
	"time"

	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// holder is an account that certainly has a number, from one time to another.
type holder struct {
	account  string
	from, to time.Duration
}

// never is later than the whole run.
const never = time.Duration(1<<63 - 1)

// The machine's events of a claim, and of a reaction.
const (
	valueTaken    = "valueTaken"
	valueReleased = "valueReleased"
	causeParked   = "causeParked"
)

// checkClaims checks that claims are taken and given back in turn, that each
// command of the machine's own reaction took effect once, and that at the end
// exactly the numbers of open accounts are taken, each by its account.
func (f *fold) checkClaims() (wrong []Violation) {
	owners := map[string]string{} // by stream of the claim
	ends := map[eventlog.Cause][]*entry{}
	for _, e := range f.entries {
		if e.Origin != nil && e.Origin.Reaction == "unique" && !e.waits() {
			ends[e.Origin.Cause] = append(ends[e.Origin.Cause], e)
		}
		if !strings.HasPrefix(e.Stream, "unique/") {
			continue
		}
		switch owner := owners[e.Stream]; {
		case e.Type == valueTaken && owner != "":
			wrong = append(wrong, violation("two owners", "%s is for %s, and %s has the value", e, subject(e), owner))
		case e.Type == valueReleased && owner != subject(e):
			wrong = append(wrong, violation("given back by another", "%s is for %s, and %q has the value", e, subject(e), owner))
		}
		switch e.Type {
		case valueTaken:
			owners[e.Stream] = subject(e)
		case valueReleased:
			delete(owners, e.Stream)
		}
	}
	for _, of := range ends {
		if len(of) > 1 {
			wrong = append(wrong, violation("a claim's command took effect twice", "%v", of))
		}
	}
	numbers := map[string]string{}
	for _, stream := range f.of(accounts.Aggregate) {
		a := f.account(stream)
		if a.Status != accounts.Open {
			continue
		}
		claim := aggregate.ClaimStream("account-number", string(a.Number))
		if other := numbers[claim]; other != "" {
			wrong = append(wrong, violation("two owners", "number %s is of %s and of %s at the end", a.Number, other, stream))
		}
		numbers[claim] = stream
		if owners[claim] != stream {
			wrong = append(wrong, violation("not taken", "%s has number %s, and %s is taken by %q", stream, a.Number, claim, owners[claim]))
		}
	}
	for _, claim := range slices.Sorted(maps.Keys(owners)) {
		if numbers[claim] == "" {
			wrong = append(wrong, violation("claimed for ever", "%s is taken by %s, which doesn't have the number", claim, owners[claim]))
		}
	}
	return wrong
}

// subject is the stream that a claim's command is for: the stream of its cause.
func subject(e *entry) string {
	if e.Origin == nil {
		return ""
	}
	return e.Origin.Subject
}
