package history

import (
	"cmp"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// patience is the longest time of a search for an order.
const patience = 2 * time.Minute

// Linear says whether the commands and reads of each user are linearizable: there
// is an order of the operations that fits the clock and the domain.
type Linear struct {
	Users      int
	Operations int
	Result     porcupine.CheckResult
	info       porcupine.LinearizationInfo
}

// step is a command or a read, for porcupine.
type step struct {
	command *command
	read    *Operation
	// seq is the sequence number of the command's outcome in the log, 0 for none.
	// turn counts the user's outcomes in the order of the log, from 1.
	seq  uint64
	turn int
}

// CheckLinear searches for an order of each user's operations.
//   - A command without an answer may have happened at any time after the call. So
//     may a command whose outcome no read asks after. The end of the order is as good
//     as never.
//   - outcomes has the ends of the commands without an answer: with all possible ends
//     there would be too many orders to try. A command without an outcome, or with
//     the outcome dropped, never happened. With nil outcomes all ends are possible.
func CheckLinear(operations []Operation, outcomes map[CommandKey][]entry) *Linear {
	l := &Linear{}
	var steps []porcupine.Operation
	seen := map[string]bool{}
	var end time.Duration
	for i := range operations {
		end = max(end, operations[i].Return, operations[i].Shared)
		seen[operations[i].User] = true
	}
	told := tellers(operations)
	for _, c := range inOrder(commandsOf(operations)) {
		records := outcomes[CommandKey{c.User, c.CommandID}]
		is := outcomeOf(records)
		switch {
		case c.told == nil && outcomes != nil && is == nil:
			continue
		case is != nil && slugOf(&is.Record) == dropped:
			continue // the command never happened
		case c.told == nil && is != nil:
			c.told = answerOf(is)
		}
		if is != nil && isDeferred(&records[0].Record) {
			c.shared = c.deferredUntil(is, told[c.User])
		}
		s := step{command: c}
		if is != nil {
			s.seq = is.Seq
		}
		steps = append(steps, porcupine.Operation{ClientId: c.Client, Input: s, Call: int64(c.Call), Return: int64(min(c.shared, end+1))})
	}
	for i := range operations {
		if o := &operations[i]; o.Kind == Read && o.Result() == Succeeded {
			steps = append(steps, porcupine.Operation{ClientId: o.Client, Input: step{read: o}, Call: int64(o.Call), Return: int64(o.Return)})
		}
	}
	l.Users, l.Operations = len(seen), len(steps)
	l.search(steps)
	return l
}

// search searches for an order of each user. Any order will do, so search tries the
// order of the log first, which takes no time. A search among many commands without
// effect may never end.
func (l *Linear) search(steps []porcupine.Operation) {
	l.Result = porcupine.Ok
	var others []porcupine.Operation
	for _, of := range byUser(steps) {
		giveTurns(of)
		if result := porcupine.CheckOperationsTimeout(inLogOrder, of, patience); result != porcupine.Ok {
			others = append(others, of...)
		}
	}
	if len(others) > 0 {
		l.Result, l.info = porcupine.CheckOperationsVerbose(model, others, patience)
	}
}

// answerOf is the answer to a waiting client, from the command's record.
func answerOf(e *entry) *Operation {
	if slug := slugOf(&e.Record); slug != "" {
		return &Operation{Kind: e.Type, HTTP: http.StatusConflict, Slug: slug}
	}
	return &Operation{Kind: e.Type, HTTP: http.StatusOK, Version: e.Version}
}

// Violations has no violation if there is an order.
func (l *Linear) Violations() []Violation {
	if l.Result == porcupine.Ok {
		return nil
	}
	return []Violation{violation("not linearizable", "porcupine says %s, of %d operations of %d users", l.Result, l.Operations, l.Users)}
}

// Visualize writes a page about the users without an order: the operations, and the
// longest partial orders.
func (l *Linear) Visualize(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := porcupine.Visualize(model, l.info, file); err != nil {
		_ = file.Close()
		return fmt.Errorf("visualize: %w", err)
	}
	return file.Close()
}

// model is the rules of the domain for a user.
var model = porcupine.Model{
	Partition: byUser,
	Init:      func() any { return state{} },
	Step: func(before, input, _ any) (bool, any) {
		was, ok := before.(state)
		if !ok {
			return false, before
		}
		return stepOf(input).follows(was)
	},
	DescribeOperation: func(input, _ any) string { return stepOf(input).String() },
	DescribeState:     func(s any) string { return fmt.Sprintf("%+v", s) },
}

// giveTurns numbers the commands of a user in the order of their outcomes in the
// log.
func giveTurns(of []porcupine.Operation) {
	inLog := slices.DeleteFunc(slices.Clone(of), func(o porcupine.Operation) bool { return stepOf(o.Input).seq == 0 })
	turns := map[uint64]int{}
	slices.SortFunc(inLog, func(a, b porcupine.Operation) int { return cmp.Compare(stepOf(a.Input).seq, stepOf(b.Input).seq) })
	for i, o := range inLog {
		turns[stepOf(o.Input).seq] = i + 1
	}
	for i := range of {
		s := stepOf(of[i].Input)
		s.turn = turns[s.seq]
		of[i].Input = s
	}
}

// inLogOrder is model with commands in their turns.
var inLogOrder = porcupine.Model{
	Init: func() any { return place{} },
	Step: func(before, input, _ any) (bool, any) {
		was, ok := before.(place)
		if !ok {
			return false, before
		}
		s := stepOf(input)
		if s.turn > 0 && s.turn != was.turns+1 {
			return false, before
		}
		ok, after := s.follows(was.state)
		return ok, place{after, max(s.turn, was.turns)}
	},
}

// place is the state of a user after so many outcomes.
type place struct {
	state
	turns int
}

func byUser(all []porcupine.Operation) (parts [][]porcupine.Operation) {
	of := map[string]int{}
	for _, o := range all {
		user := stepOf(o.Input).user()
		i, ok := of[user]
		if !ok {
			i = len(parts)
			of[user] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], o)
	}
	return parts
}

// follows says whether the step may come next, and returns the state of the user
// then.
func (s step) follows(was state) (bool, state) {
	if s.read != nil {
		return was.shows(s.read), was
	}
	v := s.command.decide(was)
	return s.command.fits(v), v.after
}

func stepOf(input any) step {
	s, _ := input.(step) // all inputs are steps
	return s
}

func (s step) user() string {
	if s.read != nil {
		return s.read.User
	}
	return s.command.User
}

func (s step) String() string {
	if o := s.read; o != nil {
		return fmt.Sprintf("read %s: %d v%d %q %t", o.User, o.HTTP, o.Version, o.ReadName, o.Active)
	}
	c := s.command
	if c.told == nil {
		return fmt.Sprintf("%s %q: not told", c, c.Name)
	}
	return fmt.Sprintf("%s %q: %d %s v%d", c, c.Name, c.told.HTTP, c.told.Slug, c.told.Version)
}

// fits says whether the answer to the client has this verdict.
func (c *command) fits(v verdict) bool {
	if c.told == nil {
		return true
	}
	if c.told.Result() == Refused {
		return c.told.Slug == v.slug
	}
	return v.slug == "" && c.told.Version == v.after.version
}
