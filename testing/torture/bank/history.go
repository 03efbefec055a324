package bank

import (
	"encoding/json"
	"time"

	"github.com/millrace/millrace/testing/torture/history"
)

// Sent is a try of a client to send a command. Kind is the type, User the stream.
type Sent struct {
	history.Operation
	Payload   json.RawMessage `json:"payload"`
	NotBefore time.Time       `json:"notBefore,omitzero"`
}

// Read is a read of all money.
type Read struct {
	history.Operation
	Money Money `json:"money"`
}

// answered says whether an answer came.
func (r *Read) answered() bool { return r.Result() == history.Succeeded }

// History is all requests of the clients.
type History struct {
	Commands []Sent
	Reads    []Read
}
