package unique

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// AnswerClaim tells a stream whether the claim that its first deferred command
// waits for was taken. Each stream takes the command, before its queue.
type AnswerClaim struct {
	Stream string `json:"stream"`
	// CommandID is the id of the command that waits.
	CommandID string `json:"commandId"`
	// Claim is the claim's stream.
	Claim string `json:"claim"`
	Taken bool   `json:"taken"`
}

// TypeAnswerClaim is the type of an [AnswerClaim].
const TypeAnswerClaim = "answerClaim"

// Type is "answerClaim".
func (AnswerClaim) Type() string { return TypeAnswerClaim }

// AggregateID is the id in the stream's name.
func (c AnswerClaim) AggregateID() string { return idOf(c.Stream) }

// IsOwn reports whether a command can come from the machine's own reaction only.
func IsOwn(commandType string) bool {
	return commandType == typeTakeClaim || commandType == typeGiveClaim || commandType == TypeAnswerClaim
}

// Command is a command of the machine's own reaction.
type Command struct {
	Stream string
	aggregate.AnyCommand
}

// React returns the commands that follow from a record that counts. What a record
// gives back goes before what the record asks for.
func React(r *eventlog.Record) ([]Command, error) {
	name, _, _ := aggregate.SplitStream(r.Stream)
	if name == Name {
		return answer(r)
	}
	var commands []Command
	for _, claim := range r.Releases {
		commands = append(commands, Command{claim, &GiveClaim{ID: idOf(claim), Stream: r.Stream}})
	}
	for _, claim := range r.Asks {
		commands = append(commands, Command{claim, &TakeClaim{ID: idOf(claim), Stream: r.Stream, CommandID: r.CommandID}})
	}
	return commands, nil
}

// answer returns the answer to a take that has ended.
func answer(r *eventlog.Record) ([]Command, error) {
	var take TakeClaim
	switch r.Type {
	case typeValueTaken:
		if err := json.Unmarshal(r.Body, &take); err != nil {
			return nil, fmt.Errorf("decode %s: %w", r.Type, err)
		}
	case eventlog.TypeCommandRefused, eventlog.TypeCommandUnchanged:
		var body struct {
			CommandType string          `json:"commandType"`
			Payload     json.RawMessage `json:"payload"`
		}
		if err := json.Unmarshal(r.Body, &body); err != nil {
			return nil, fmt.Errorf("decode %s: %w", r.Type, err)
		}
		if body.CommandType != typeTakeClaim {
			return nil, nil
		}
		if err := json.Unmarshal(body.Payload, &take); err != nil {
			return nil, fmt.Errorf("decode the payload in a %s: %w", r.Type, err)
		}
	default:
		return nil, nil
	}
	return []Command{{take.Stream, &AnswerClaim{
		Stream: take.Stream, CommandID: take.CommandID, Claim: r.Stream, Taken: r.Type != eventlog.TypeCommandRefused,
	}}}, nil
}

func idOf(stream string) string {
	_, id, _ := aggregate.SplitStream(stream)
	return id
}
