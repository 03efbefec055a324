package protocol

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/testing/protocol/explore"
	"github.com/millrace/millrace/testing/protocol/explore/exploretest"
)

// everyday are the faults of the searches in every run of the tests.
var everyday = []faults{
	{},
	{takeOvers: 1},
	{crashes: 1, failures: 1, resets: 1},
	{takeOvers: 1, failures: 1},
	{jumps: 1, crashes: 1},
}

const (
	everydayLimit = 40_000 // states of one search
	deepLimit     = 20_000_000
)

func (f faults) String() string {
	return exploretest.Text([]exploretest.Fault{
		{Times: f.takeOvers, What: "take-over"}, {Times: f.crashes, What: "crash"}, {Times: f.failures, What: "failed append"},
		{Times: f.resets, What: "reset"}, {Times: f.jumps, What: "jump"},
	}...)
}

// look searches a scenario with these faults.
func look(s *Scenario, f faults, without rule, limit int, seen *seen) exploretest.Trial {
	copied := *s
	copied.faults = f
	return exploretest.Try(s.Name, f.String(), limit, func(say func(string)) *explore.Model[world, action] {
		return explored(&copied, without, seen, say)
	})
}

func TestPromisesHold(t *testing.T) {
	table := exploretest.NewTable(t)
	var seen seen
	for _, s := range Scenarios() {
		searches, limit := everyday, exploretest.Limit(everydayLimit)
		if *exploretest.Deep {
			searches, limit = []faults{s.faults}, deepLimit
		}
		for _, f := range searches {
			if f.jumps > 0 && s.Until == 0 {
				continue
			}
			table.Holds(look(s, f, 0, limit, &seen))
		}
	}
	if i := slices.Index(seen.deeds[:strays], false); i >= 0 {
		t.Errorf("deed %d never happened", i)
	}
	if i := slices.Index(seen.kinds[1:], false); i >= 0 {
		t.Errorf("no record of kind %s was ever accepted", kind(i+1))
	}
}

// mutants leave out a rule each, in a scenario where the loss breaks a promise.
var mutants = []struct {
	rule     rule
	what     string
	scenario string
	faults   faults
	breaks   string
}{
	{gate, "gate: everything in the log counts", "two users", faults{failures: 1}, oneOutcome},
	{gatePrev, "gate: no prev, only the sequence number", "rolling upgrade", faults{takeOvers: 1}, oneChain},
	{gatePrev | gateVersion | foldFirst, "6: fold nothing first, with sequence numbers for a gate", "one user", faults{takeOvers: 1}, ownHistory},
	{speculating, "1: decide from the state store, without appends in flight", "one user", faults{}, ownHistory},
	{tellReadBack, "2: tell the outcome when Kafka has it", "rolling upgrade", faults{takeOvers: 1}, toldTrue},
	{markReadBack, "2: mark when Kafka has it", "one user", faults{crashes: 1, failures: 1}, markedDone},
	{ownRecord, "2: any record with the sequence number ends the command", "commands made anew", faults{}, nothingLost},
	{redecide, "3: keep records that no longer follow", "rolling upgrade", faults{takeOvers: 1}, nothingLost},
	{redecideAll, "3: decide only the first command again", "rolling upgrade", faults{takeOvers: 1}, nothingLost},
	{retry, "4: skip a failed append", "one user", faults{failures: 1}, nothingLost},
	{retryDependent, "4: send only the failed record again", "one user", faults{failures: 1}, nothingLost},
	{retryBehind, "4: forget a failure once the record is read back", "one user", faults{failures: 1}, nothingLost},
	{position, "5: remember outcomes, but no position", "repeated ids", faults{crashes: 1, resets: 1}, notAgain},
	{positionTopic, "5: a position without the topic's id", "commands made anew", faults{}, nothingLost},
	{positionEach, "5: only the last topic's position", "commands made anew", faults{takeOvers: 1}, notAgain},
	{newOffsets, "5: use offsets again behind a cut", "commands lose their end", faults{}, nothingLost},
	{queueBehind, "parking: queue only while parked", "parked, many deferred", faults{takeOvers: 1}, inOrder},
	{deferredInTurn, "parking: go on behind a command that is parked again", "dropped, parked again", faults{}, inOrder},
	{deferredOutcome, "parking: forget deferred commands like others", "parked, repeated", faults{}, oneOutcome},
	{forgetBehind, "parking: outcomes of deferred commands evict outcomes", "parked, repeated", faults{takeOvers: 1}, oneOutcome},
	{queueUnknown, "unknown: park a command of an unknown type", "unknown type", faults{}, noOperator},
	{queueUnknown, "unknown: park a command behind an unknown event", "events of the newer binary", faults{takeOvers: 1}, noOperator},
	{waitForNewer, "unknown: go on with a command of an unknown type", "unknown type", faults{}, oneOutcome},
	{waitForNewer, "unknown: go on behind an unknown event", "events of the newer binary", faults{takeOvers: 1, failures: 1}, oneOutcome},
	{repetition, "find a repeated command only if the first is known by chance", "repeated ids", faults{}, notAgain},
	{blindOutcome, "forget an outcome whose body can't be read", "events of the newer binary", faults{takeOvers: 1}, oneOutcome},
	{fenced, "fence: none", "late sends", faults{}, oneOutcome},
	{fenceAtTurn, "fence: asked of the state store", "late sends", faults{}, oneOutcome},
	{fenceCounts, "fence: moved by what doesn't count", "sends in an upgrade", faults{takeOvers: 1}, nothingLost},
	{fenceTrims, "fence: trimming doesn't ask", "late sends", faults{}, trimmed},
	{fenceBlind, "fence: not moved by a record whose body can't be read", "sends, and unknown events", faults{takeOvers: 1}, notAgain},
	{fenceApart, "fence: outcomes of a reaction evict those of clients", "a reaction among clients", faults{}, oneOutcome},
	{dueByClock, "later: at once", "later", faults{}, notEarly},
	{dueInTurn, "later: in the order of their scheduling", "later", faults{}, dueOrder},
	{dueTime, "later: the record's time is the clock's", "later", faults{takeOvers: 1}, timeHeld},
	{dueQueued, "later: go on while the stream is parked", "later, parked", faults{}, inOrder},
	{dueExpects, "later: expectedVersion isn't looked at when due", "later, by version", faults{}, versionHeld},
	{dueAnywhere, "later: only what this session has scheduled", "later", faults{crashes: 1}, nothingSticks},
	{scheduledID, "later: forget the id of a scheduled command", "later, repeated", faults{}, oneOutcome},
	{endKeeps, "later: the end of a scheduled command evicts outcomes", "later, repeated", faults{}, notAgain},
	{claimWaits, "claims: don't wait", "a claim", faults{}, claimHeld},
	{cancelMarks, "later: a cancelled command goes on", "later, cancelled", faults{}, cancelHeld},
	{sessionOnly, "take messages that an old session had fetched", "one user", faults{crashes: 1}, markedDone},
}

func TestEachRuleIsNeeded(t *testing.T) {
	table := exploretest.NewTable(t)
	for _, mutant := range mutants {
		s := scenarioOf(t, mutant.scenario)
		table.Needs(mutant.what, mutant.breaks, look(s, mutant.faults, mutant.rule, everydayLimit, new(seen)))
	}
}

var anywhere = []string{"one user", "rolling upgrade", "commands made anew"}

// unneeded are rules that break no promise when left out, and scenarios where
// the rules matter.
var unneeded = []struct {
	rule      rule
	what      string
	scenarios []string
}{
	{gateSeq, "gate: no sequence number, only prev (prev says as much; the number is for people, and for a fast comparison)", anywhere},
	{gateVersion, "gate: versions aren't counted (a writer that follows the rules counts right; the check is against other writers)", anywhere},
	{purity, "1: each decision is another record (speed: two writers of equal records need no second decision)", anywhere},
	{claimAnswers, "claims: take any answer for the first deferred command's (safety: the fence lets no other answer come)", []string{"two claims"}},
	{scheduledAlone, "later: keep all ids while a command is scheduled (space)", []string{"later, repeated", "later, cancelled"}},
	{foldFirst, "6: fold nothing first (speed: with the chain, decisions about an old state lose their sequence number and are made again)", anywhere},
}

func TestSomeRulesAreForSpeed(t *testing.T) {
	table := exploretest.NewTable(t)
	for _, mutant := range unneeded {
		for _, name := range mutant.scenarios {
			f, limit := faults{takeOvers: 1, failures: 1}, exploretest.Limit(everydayLimit/2)
			if *exploretest.Deep {
				f, limit = faults{takeOvers: 1, crashes: 1, failures: 1, resets: 1}, deepLimit
			}
			table.Spares(mutant.what, look(scenarioOf(t, name), f, mutant.rule, limit, new(seen)))
		}
	}
}

func scenarioOf(t *testing.T, name string) *Scenario {
	t.Helper()
	return exploretest.Find(t, Scenarios(), name, func(s *Scenario) string { return s.Name })
}

// A walk is the same for the same seed, and each step follows from the step
// before.
func TestWalk(t *testing.T) {
	for _, s := range Scenarios() {
		for seed := range uint64(20) {
			var first, second []string
			appends := map[int]bool{0: true}
			for step := range Walk(s, seed) {
				first = append(first, step.Text...)
				for _, a := range step.Sent {
					if !appends[a.Prev] {
						t.Fatalf("%s, seed %d: %+v follows a record that was never appended", s.Name, seed, a)
					}
					appends[a.ID] = true
				}
			}
			for step := range Walk(s, seed) {
				second = append(second, step.Text...)
			}
			if len(first) == 0 || !slices.Equal(first, second) {
				t.Fatalf("%s, seed %d: two walks differ", s.Name, seed)
			}
		}
	}
}
