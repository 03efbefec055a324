package runner

import (
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/unique"
)

// Unique is the router's own reaction, which takes values that must be unique,
// and gives values back. Without this reaction no command with a claim ends.
func Unique() Reaction {
	return Reaction{Name: unique.Name, FromBeginning: true, own: true, React: claims}
}

// claims are the commands that follow from a record's claims.
func claims(r *eventlog.Record) ([]eventlog.Envelope, error) {
	if r.Unreadable != nil {
		return nil, r.Unreadable
	}
	commands, err := unique.React(r)
	var envelopes []eventlog.Envelope
	for _, c := range commands {
		envelopes = append(envelopes, eventlog.Envelope{Stream: c.Stream, Type: c.Type(), Body: decider.EncodeBody(c.AnyCommand)})
	}
	return envelopes, err
}
