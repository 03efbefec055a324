package bank

import (
	"encoding/json"

	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/history"
)

// checkCommands compares the answers to clients with the records that count, and
// checks that each record is of a command that somebody sent.
func (f *fold) checkCommands(sent []Sent) (wrong []Violation) {
	known := map[key]*Sent{}
	for i := range sent {
		s := &sent[i]
		k := key{s.User, s.CommandID}
		first := known[k] == nil
		known[k] = s
		ends := f.ends(k)
		switch result := s.Result(); {
		case result == history.Unknown:
			continue
		case result == history.Unexpected || result == history.Parked:
			wrong = append(wrong, violation("unexpected answer", "%s %s of %s: %d %s", s.Kind, s.CommandID, s.User, s.HTTP, s.Slug))
		case len(ends) == 0:
			wrong = append(wrong, violation("lost", "%s %s of %s was answered with %d, and has not ended", s.Kind, s.CommandID, s.User, s.HTTP))
		case len(ends) > 1 && first:
			wrong = append(wrong, violation("twice", "%s %s of %s: %v", s.Kind, s.CommandID, s.User, ends))
		case result == history.Succeeded && (ends[0].slug() != "" || ends[0].Version != s.Version),
			result == history.Refused && ends[0].slug() != s.Slug:
			wrong = append(wrong, violation("another outcome", "%s %s of %s was answered with %d %s version %d, and is %s version %d",
				s.Kind, s.CommandID, s.User, s.HTTP, s.Slug, s.Version, ends[0], ends[0].Version))
		}
	}
	for _, e := range f.entries {
		of, _ := f.registry.OfStream(e.Stream)
		if of == nil || e.Origin != nil || e.Type == eventlog.TypeScheduledCancelled {
			continue
		}
		s := known[key{e.Stream, e.CommandID}]
		if s == nil {
			wrong = append(wrong, violation("sent by nobody", "%s is of command %s", e, e.CommandID))
			continue
		}
		if command, _ := f.registry.NewCommand(s.Kind); command != nil && !e.waits() {
			if err := json.Unmarshal(s.Payload, command); err != nil {
				wrong = append(wrong, violation("command unreadable", "%s: %v", s.Payload, err))
				continue
			}
			wrong = append(wrong, f.checkDecision(e, command)...)
		}
	}
	return wrong
}

// checkNumbers checks that two accounts never had a number at the same time, as
// clients can tell: from the answer to openAccount until closeAccount was sent, an
// account has its number.
func (f *fold) checkNumbers(sent []Sent) (wrong []Violation) {
	holders := map[string][]*holder{} // by number
	byAccount := map[string]*holder{}
	for i := range sent {
		s := &sent[i]
		if s.Kind != "openAccount" || s.Result() != history.Succeeded || byAccount[s.User] != nil {
			continue
		}
		for _, e := range f.streams[s.User] {
			if opened, ok := e.event.(*accounts.AccountOpened); ok && e.CommandID == s.CommandID {
				h := &holder{account: s.User, from: s.Return, to: never}
				byAccount[s.User], holders[string(opened.Number)] = h, append(holders[string(opened.Number)], h)
			}
		}
	}
	for i := range sent {
		if h := byAccount[sent[i].User]; h != nil && sent[i].Kind == "closeAccount" {
			h.to = min(h.to, sent[i].Call)
		}
	}
	for number, all := range holders {
		for i, a := range all {
			for _, b := range all[:i] {
				if a.from < b.to && b.from < a.to {
					wrong = append(wrong, violation("two owners", "number %s is of %s and of %s at the same time", number, b.account, a.account))
				}
			}
		}
	}
	return wrong
}
