package decider

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/unique"
)

// A command whose event would add a value to the claims of the stream waits in
// the log as commandClaiming, and later commands of the stream queue behind. The
// machine's own reaction takes the value, and answers; then the command is decided
// again on the same state. Several values are taken one after another, in the
// order of their streams: otherwise two commands with two values would take one
// each, and both be refused. See package unique.

// outcome is what a decision puts into the record of a command, besides what
// follows from the stream and the command.
type outcome struct {
	recordType string
	body       []byte
	asks       []string // streams of claims to take
	releases   []string // streams of claims to give back
}

// claimsOf are the claims of the state before an event and of the state after.
func claimsOf(t *aggregate.Type, before, after any) (has, wants []aggregate.Claim, err error) {
	if has, err = t.Claims(before); err != nil {
		return nil, nil, fmt.Errorf("the claims of the state: %w", err)
	}
	if wants, err = t.Claims(after); errors.Is(err, aggregate.ErrClaimTooLong) {
		return nil, nil, &aggregate.Refusal{Slug: errClaimTooLong.Slug, Detail: err.Error(), Kind: errClaimTooLong.Kind}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the claims of the state after the event: %w", err)
	}
	return has, wants, nil
}

// claim is the outcome of a command that makes an event: the event, or a wait for
// the first claim that is not answered, or a refusal if another stream has the
// value. of has the answers until now, nil for a new command.
func claim(envelope *eventlog.Envelope, d *decision, of *deferredCommand) outcome {
	o := outcome{recordType: d.event.Type(), body: d.body}
	if len(d.has) == 0 && len(d.wants) == 0 && of == nil {
		return o
	}
	var taken, refusals []string
	if of != nil {
		taken, refusals = of.Taken, of.Refused
	}
	for _, c := range without(d.wants, d.has) {
		switch name := c.Stream(); {
		case slices.Contains(refusals, name):
			return refused(envelope, c.Refusal)
		case !slices.Contains(taken, name):
			return outcome{recordType: eventlog.TypeCommandClaiming, body: EncodeBody(deferredBodyOf(envelope, eventlog.ReasonClaim, "")), asks: []string{name}}
		}
	}
	o.releases = streamsOf(without(d.has, d.wants))
	if len(taken) > 0 {
		o.releases = union(o.releases, except(taken, streamsOf(d.wants)))
	}
	return o
}

// unclaim gives back what was taken for a deferred command that ends otherwise
// than by an event. A command that waits keeps what was taken.
func unclaim(registry *aggregate.Registry, s *stream, of *deferredCommand, o outcome) outcome {
	if len(of.Taken) == 0 || o.recordType != eventlog.TypeCommandRefused && o.recordType != eventlog.TypeCommandUnchanged {
		return o
	}
	o.releases = except(of.Taken, s.claims(registry, of.Stream))
	return o
}

// claims are the streams of the values that a stream holds, none if the domain
// can't tell.
func (s *stream) claims(registry *aggregate.Registry, name string) (streams []string) {
	defer func() {
		if recover() != nil {
			streams = nil
		}
	}()
	t, _ := registry.OfStream(name)
	if t == nil {
		return nil
	}
	claims, err := t.Claims(s.state)
	if err != nil {
		return nil
	}
	return streamsOf(claims)
}

// without are the claims of a list whose values another list doesn't have.
func without(list, others []aggregate.Claim) []aggregate.Claim {
	return slices.DeleteFunc(slices.Clone(list), func(c aggregate.Claim) bool {
		return slices.ContainsFunc(others, func(o aggregate.Claim) bool { return o.Name == c.Name && o.Value == c.Value })
	})
}

// except are the streams of a list that another list doesn't have, sorted.
func except(list, others []string) []string {
	left := slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(others, name) })
	slices.Sort(left)
	return left
}

func streamsOf(claims []aggregate.Claim) []string {
	var streams []string
	for _, c := range claims {
		streams = append(streams, c.Stream())
	}
	return streams
}

// union are the texts of two lists, sorted, each once.
func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// errClaimTooLong refuses a command that would claim too long a value.
var errClaimTooLong = &aggregate.Refusal{
	Slug: aggregate.SlugClaimTooLong, Detail: fmt.Sprintf("a value that must be unique has at most %d bytes", aggregate.MaxClaimValue), Kind: aggregate.Invalid,
}

// answerOf is the outcome of the answer to a claim: the answer is for the first
// deferred command alone.
func answerOf(s *stream, envelope *eventlog.Envelope, answer *unique.AnswerClaim) outcome {
	if d := s.deferred; d == nil || d.first.Asks != answer.Claim || d.first.ID != answer.CommandID {
		return unchanged(envelope)
	}
	return outcome{recordType: eventlog.TypeClaimAnswered, body: EncodeBody(answeredBody{CommandID: answer.CommandID, Claim: answer.Claim, Taken: answer.Taken})}
}

// answeredBody is the body of claimAnswered.
type answeredBody struct {
	CommandID string `json:"commandId"` // of the command that waited
	Claim     string `json:"claim"`     // the claim's stream
	Taken     bool   `json:"taken"`
}

// awaitClaim folds a commandClaiming.
func (s *stream) awaitClaim(r *eventlog.Record) error {
	if len(r.Asks) != 1 {
		return fmt.Errorf("%s asks for %d claims, and must for one", r.Type, len(r.Asks))
	}
	return s.deferCommand(r)
}

// answered folds a claimAnswered.
func (s *stream) answered(r *eventlog.Record) error {
	body, err := decode[answeredBody](r)
	if err != nil {
		return err
	}
	if s.deferred == nil || s.deferred.first.Asks != body.Claim {
		return errors.New("no command waits for the claim")
	}
	s.changeDeferred(0, func(d *deferredCommand) {
		d.Asks = ""
		if body.Taken {
			d.Taken = append(slices.Clip(d.Taken), body.Claim)
		} else {
			d.Refused = append(slices.Clip(d.Refused), body.Claim)
		}
	})
	return nil
}

// takenFor are the streams of the claims that were taken for a command.
func (s *stream) takenFor(commandID string) []string {
	if s.deferred == nil || s.deferred.first.ID != commandID {
		return nil
	}
	return s.deferred.first.Taken
}

// noteUnclaimed notes the values that an event has added to the state, and that
// were not taken for the event's command: a binary without these claims, or with
// another rule of comparison, has decided the command.
func (s *stream) noteUnclaimed(registry *aggregate.Registry, name string, before any, taken []string) {
	t, _ := registry.OfStream(name)
	if !t.HasClaims() {
		return
	}
	defer func() { _ = recover() }() // a state whose claims can't be told can't be decided on, and parks
	has, err := t.Claims(before)
	if err != nil {
		return
	}
	wants, err := t.Claims(s.state)
	if err != nil || len(has) == 0 && len(wants) == 0 {
		return
	}
	added := except(streamsOf(without(wants, has)), taken)
	if len(added) == 0 && len(s.unclaimed()) == 0 {
		return
	}
	kept := streamsOf(wants)
	s.setUnclaimed(slices.DeleteFunc(union(s.unclaimed(), added), func(name string) bool { return !slices.Contains(kept, name) }))
}

// ErrUnclaimed is the error of a log with values that must be unique, and that
// nobody has taken.
var ErrUnclaimed = errors.New("values that must be unique are in the log already, and nobody has taken the values")

// CheckClaims waits until the state store has caught up, and returns an
// [ErrUnclaimed] if a stream holds a value that nobody has taken: two streams may
// hold the same value then. Other errors say that the state store didn't catch up.
func (ss *StateStore) CheckClaims(ctx context.Context) error {
	if err := ss.CatchUpAll(ctx); err != nil {
		return err
	}
	streams := 0
	for _, p := range ss.processors {
		p.mu.Lock()
		streams += p.tally.Unclaimed
		p.mu.Unlock()
	}
	if streams == 0 {
		return nil
	}
	return fmt.Errorf("%w: %d streams hold such values; leave the claim out of the definition, or start the service before and take the values out of the streams", ErrUnclaimed, streams)
}
