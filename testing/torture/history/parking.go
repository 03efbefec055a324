package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// Poison is the name in a renameUser that the broken domain can't decide. No other
// command is ever parked.
const Poison = "Poison"

// dropped is the refusal of a dropped command. notParked is the refusal of an
// operator's command that came too late.
const (
	dropped   = "command-dropped"
	notParked = "not-parked"
)

// poisoned says whether a command may be parked.
func (c *command) poisoned() bool { return c.Kind == "renameUser" && c.Name == Poison }

// isDeferred says whether a record defers its command.
func isDeferred(r *eventlog.Record) bool {
	return r.Type == eventlog.TypeCommandParked || r.Type == eventlog.TypeCommandQueued
}

// outcomeOf is the outcome among the counting records of a command; nil for a
// deferred command, or without records.
func outcomeOf(records []entry) *entry {
	i := slices.IndexFunc(records, func(e entry) bool { return !isDeferred(&e.Record) })
	if i < 0 {
		return nil
	}
	return &records[i]
}

// deferredQueue is the deferred commands of a user by the records: the parked
// command, and the commands behind.
type deferredQueue struct {
	commands []*command
	parked   bool                                  // the commands wait for an operator
	dropped  *command                              // ends without a decision
	known    map[*command]eventlog.CommandPosition // by the first record of the command
}

// take checks place and content of the record of a client's command, and folds the
// record.
func (q *deferredQueue) take(e *entry, c *command, before state) (wrong []Violation) {
	i := slices.Index(q.commands, c)
	want := q.expect(e, c, before, i)
	is := e.Type == want.recordType && slugOf(&e.Record) == want.slug && sameBody(&e.Record, want.body)
	at, known := q.known[c]
	rule := ""
	switch {
	case i < 0 && known:
		rule = "decided twice"
	case i < 0 && len(q.commands) > 0 && e.Type != eventlog.TypeCommandQueued:
		rule, is = "decided past a deferred command", true
	case i > 0:
		rule, is = "resumed out of order", true
	case i == 0 && q.parked:
		rule, is = "resumed by nobody", true
	case c == q.dropped && eventlog.IsEvent(e.Type):
		rule, is = "dropped, and took effect", true
	case e.Type == eventlog.TypeCommandParked && want.recordType != e.Type:
		rule, is = "parked for no reason", true
	}
	if rule != "" {
		wrong = append(wrong, violation(rule, "record %d of user %s, %s: is %s, at offset %d of partition %d, while %s",
			e.Seq, e.Stream, c, e.Type, e.Offset, e.Partition, q))
	}
	if i >= 0 && at != e.CommandPosition {
		wrong = append(wrong, violation("wrong command", "record %d of user %s, %s: says that the command is at %v, and was at %v when the command was deferred",
			e.Seq, e.Stream, c, e.CommandPosition, at))
	}
	if !is {
		wrong = append(wrong, violation("wrong decision", "record %d of user %s, %s: is %s %s, and the domain says %s %s %s",
			e.Seq, e.Stream, c, e.Type, e.Body, want.recordType, want.slug, want.body))
	}
	q.fold(e, c, i)
	return wrong
}

func (q *deferredQueue) String() string {
	if len(q.commands) == 0 {
		return "none waits"
	}
	return fmt.Sprintf("%d wait, %s first, parked: %t", len(q.commands), q.commands[0].CommandID, q.parked)
}

// expect is the right verdict for a command, which is number i of the deferred
// commands, or -1.
func (q *deferredQueue) expect(e *entry, c *command, before state, i int) verdict {
	waits := func(recordType string) verdict {
		return verdict{recordType: recordType, slug: slugOf(&eventlog.Record{Type: recordType}), body: c.deferredBody(), after: before}
	}
	switch {
	case i < 0 && len(q.commands) > 0:
		return waits(eventlog.TypeCommandQueued)
	case c == q.dropped:
		return verdict{recordType: eventlog.TypeCommandRefused, slug: dropped, after: before}
	case e.Type == eventlog.TypeCommandParked && c.poisoned() && c.expects(before):
		return waits(eventlog.TypeCommandParked)
	default:
		return c.decide(before)
	}
}

// fold folds the record of a client's command.
func (q *deferredQueue) fold(e *entry, c *command, i int) {
	if q.known == nil {
		q.known = map[*command]eventlog.CommandPosition{}
	}
	if _, known := q.known[c]; !known {
		q.known[c] = e.CommandPosition
	}
	q.parked = q.parked || e.Type == eventlog.TypeCommandParked
	switch {
	case isDeferred(&e.Record) && i < 0:
		q.commands = append(q.commands, c)
	case !isDeferred(&e.Record) && i >= 0:
		q.commands = slices.Delete(q.commands, i, i+1)
	}
	if c == q.dropped {
		q.dropped = nil
	}
}

// deferredBody is the body of a record that defers the command, without the reason.
// The body has the whole command, for the decision later.
func (c *command) deferredBody() []byte {
	return marshal(deferredBody{c.Kind, marshal(c.domainCommand()), c.Expected})
}

type deferredBody struct {
	CommandType     string          `json:"commandType"`
	Payload         json.RawMessage `json:"payload"`
	ExpectedVersion *uint64         `json:"expectedVersion,omitempty"`
}

// sameBody compares a record's body with the right body; nil for any body.
func sameBody(r *eventlog.Record, want []byte) bool {
	if want == nil {
		return true
	}
	is := r.Body
	if isDeferred(r) {
		var body deferredBody
		if json.Unmarshal(is, &body) != nil || body.Payload == nil {
			return false
		}
		is = marshal(body)
	}
	var compact bytes.Buffer
	return json.Compact(&compact, is) == nil && bytes.Equal(compact.Bytes(), want)
}

func marshal(plain any) []byte {
	text, err := json.Marshal(plain)
	if err != nil {
		panic(err) // plain data
	}
	return text
}

// OperatorCommand is a command of an operator.
type OperatorCommand struct {
	Type string // requeueParked or dropParked
	// CommandID is the command to drop.
	CommandID string
}

// operate checks the record of an operator's command, and folds the record.
func (q *deferredQueue) operate(e *entry, o OperatorCommand) []Violation {
	first := ""
	if len(q.commands) > 0 {
		first = q.commands[0].CommandID
	}
	recordType, slug := eventlog.TypeCommandRefused, notParked
	switch {
	case !q.parked:
	case o.Type == Requeue:
		recordType, slug = eventlog.TypeParkedRequeued, ""
	case o.CommandID == first:
		recordType, slug = eventlog.TypeParkedDropped, ""
	}
	var body struct {
		CommandID string `json:"commandId"`
	}
	err := json.Unmarshal(e.Body, &body)
	if e.Type != recordType || slugOf(&e.Record) != slug || err != nil || slug == "" && body.CommandID != first {
		return []Violation{violation("wrong decision", "record %d of user %s, %s: is %s %s, while %s", e.Seq, e.Stream, o.Type, e.Type, e.Body, q)}
	}
	if slug == "" {
		q.parked = false
	}
	if e.Type == eventlog.TypeParkedDropped {
		q.dropped = q.commands[0]
	}
	return nil
}

// end checks that no command waits at the end of the run.
func (q *deferredQueue) end(user string) []Violation {
	if len(q.commands) == 0 {
		return nil
	}
	return []Violation{violation("still deferred", "of user %s %s", user, q)}
}

// checkOperator compares the operators' commands in Kafka with the operations of
// operators, and the answers to operators with the log.
func (f *fold) checkOperator(operations []Operation) (wrong []Violation) {
	type errand struct{ user, kind, commandID string }
	sent := map[errand]int{}
	for i := range operations {
		o := &operations[i]
		switch o.Kind {
		case Requeue:
			sent[errand{o.User, o.Kind, ""}]++
		case Drop:
			sent[errand{o.User, o.Kind, o.CommandID}]++
		default:
			continue
		}
		wrong = append(wrong, f.checkErrand(o)...)
	}
	came := map[errand]int{}
	for key, o := range f.Operators {
		came[errand{key.User, o.Type, o.CommandID}]++
	}
	for e, n := range came {
		if n > sent[e] {
			wrong = append(wrong, violation("sent by nobody", "%s %s of user %s: %d in Kafka, and %d were sent", e.kind, e.commandID, e.user, n, sent[e]))
		}
	}
	return wrong
}

// checkErrand checks that an operator saw the outcome of the parked command.
func (f *fold) checkErrand(o *Operation) []Violation {
	records := f.outcomes[CommandKey{o.User, o.CommandID}]
	is, parked := outcomeOf(records), 0
	for _, r := range records {
		if r.Type == eventlog.TypeCommandParked {
			parked++
		}
	}
	ok := true
	switch o.Result() {
	case Succeeded:
		ok = is != nil && slugOf(&is.Record) == "" && is.Version == o.Version
	case Refused:
		ok = is != nil && is.Type == eventlog.TypeCommandRefused
	case Parked:
		ok = parked > 1
	case Unexpected:
		ok = false
	}
	if !ok {
		var types []string
		for _, r := range records {
			types = append(types, r.Type)
		}
		return []Violation{violation("another outcome", "%s of user %s: an operator was told %d %s version %d of %s, whose records are %v",
			o.Kind, o.User, o.HTTP, o.Slug, o.Version, o.CommandID, types)}
	}
	return nil
}

// checkFault checks the answers to poisoned commands. If an answer says parked, some
// instance had the fault before. If an answer has a decision, some instance was
// without the fault before.
func checkFault(all map[CommandKey]*command, operations []Operation) (wrong []Violation) {
	faults := map[string][]*Operation{}
	for i := range operations {
		if o := &operations[i]; o.Kind == Broken {
			faults[o.Instance] = append(faults[o.Instance], o)
		}
	}
	for _, c := range inOrder(all) {
		for _, try := range c.tries {
			during := func(f *Operation) bool { return f.Call <= try.Return && c.Call <= f.Return }
			throughout := func(f *Operation) bool { return f.Call+blurred < c.Call && try.Return+blurred < f.Return }
			somewhere, everywhere := false, true
			for _, of := range faults {
				somewhere = somewhere || slices.ContainsFunc(of, during)
				everywhere = everywhere && slices.ContainsFunc(of, throughout)
			}
			switch r := try.Result(); {
			case len(faults) == 0 || !c.poisoned():
			case r == Parked && !somewhere:
				wrong = append(wrong, violation("parked for no reason", "%s, from %s to %s", c, c.Call, try.Return))
			case r == Succeeded && everywhere:
				wrong = append(wrong, violation("decided in spite of the fault", "%s, from %s to %s", c, c.Call, try.Return))
			}
		}
	}
	return wrong
}

// blurred is the inaccuracy of the times of faults.
const blurred = 200 * time.Millisecond

// deferredUntil: every Read that begins later asks after the outcome of a deferred
// command. The 202 has only the position where the command was deferred, so
// deferredUntil is the first answer with the outcome, or with a later position.
func (c *command) deferredUntil(is *entry, told []*Operation) time.Duration {
	until := never
	for _, try := range c.tries {
		if r := try.Result(); (r == Succeeded || r == Refused) && try.Shared > 0 {
			until = min(until, try.Shared)
		}
	}
	for _, o := range told {
		at, err := eventlog.ParsePosition(o.Position)
		if err == nil && at[is.Partition] > is.Offset {
			until = min(until, o.Return)
		}
	}
	return until
}

// tellers are the operations of each user whose clients share the position of the
// answer with other clients, by return.
func tellers(operations []Operation) map[string][]*Operation {
	all := map[string][]*Operation{}
	for i := range operations {
		o := &operations[i]
		if o.Result() == Succeeded && (o.IsCommand() || o.Kind == Read || o.Kind == ReadOld || o.Kind == ReadSent) {
			all[o.User] = append(all[o.User], o)
		}
	}
	for _, of := range all {
		slices.SortFunc(of, func(a, b *Operation) int { return cmp.Compare(a.Return, b.Return) })
	}
	return all
}
