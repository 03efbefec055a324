package values

import (
	"encoding/json"
	"errors"
)

// Amount is an amount of money in cents, at least one cent.
type Amount int64

const maxAmount = 1_000_000_000_000

var errAmount = errors.New("must be a whole number of cents from 1 to 1000000000000")

// UnmarshalJSON reads an amount from a command, and refuses any other value.
func (a *Amount) UnmarshalJSON(data []byte) error {
	var given int64
	if err := json.Unmarshal(data, &given); err != nil || given < 1 || given > maxAmount {
		return errAmount
	}
	*a = Amount(given)
	return nil
}

// Schema is the JSON Schema of an amount.
func (Amount) Schema() map[string]any {
	return map[string]any{
		"description": "An amount of money in cents.",
		"type":        "integer", "minimum": 1, "maximum": maxAmount,
		"examples": []any{2500},
	}
}
