package gateway

import (
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/strict"
)

// cancelRequest is the payload of a client's cancelScheduled: a
// [decider.CancelScheduled] that names the command by its id.
type cancelRequest struct {
	Stream    string    `json:"stream"`
	CommandID requestID `json:"commandId"`
}

// Type is "cancelScheduled".
func (cancelRequest) Type() string { return decider.TypeCancelScheduled }

// AggregateID is the id in the stream's name.
func (c cancelRequest) AggregateID() string {
	_, id, _ := aggregate.SplitStream(c.Stream)
	return id
}

// stream is the name of the stream, which must be of an aggregate of the registry.
func (c *cancelRequest) stream(registry *aggregate.Registry) (string, *strict.FieldError) {
	refuse := func(detail string) (string, *strict.FieldError) {
		return "", &strict.FieldError{Pointer: atPayload + "/stream", Detail: detail}
	}
	t, id := registry.OfStream(c.Stream)
	if t == nil {
		return refuse("must be the name of a stream: an aggregate, a slash and an id")
	}
	switch own, err := t.ParseID(id); {
	case err != nil:
		return refuse("has an id that " + err.Error())
	case own != id:
		return refuse("must be written as " + t.Stream(own))
	}
	return c.Stream, nil
}
