package protocol

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/testing/protocol/explore/exploretest"
	"github.com/millrace/millrace/testing/protocol/fence"
	"github.com/millrace/millrace/testing/protocol/reactions"
)

// Whatever a reaction sends, with repetitions, late sends and open causes: two
// processors end each command once, and lose none.
func TestProcessorsTakeSends(t *testing.T) {
	const limit = 2_000 // states of one search
	sent, open, repeated := map[string]bool{}, 0, 0
	table := exploretest.NewTable(t)
	for seed := range uint64(400) {
		for _, commands := range reactions.Sends(seed) {
			commands = commands[:min(len(commands), maxCommands)]
			if name := fmt.Sprint(commands); len(commands) > 1 && !sent[name] {
				sent[name] = true
				s := &Scenario{Name: name, Handlers: [2]Binary{forgetful, {Remember: 1, New: true}}, window: 3}
				places := map[fence.Place]bool{}
				for _, c := range commands {
					s.Commands = append(s.Commands, Command{
						Verb: Create, ID: uint8(c.Place), Name: uint8(c.Place), Cause: c.Place, CauseStream: c.Stream, Open: c.Open,
					})
					if c.Open != 0 {
						open++
					}
					if places[c.Place] {
						repeated++
					}
					places[c.Place] = true
				}
				table.Holds(look(s, faults{takeOvers: 1, failures: 1}, 0, limit, new(seen)))
			}
		}
	}
	if len(sent) < 50 || open < 50 || repeated < 50 {
		t.Errorf("%d lists of sends have %d commands with open causes and %d repetitions, want more", len(sent), open, repeated)
	}
}
