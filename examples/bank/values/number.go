package values

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
)

// Number is the number of an account, as the bank writes it: upper-case letters
// and digits without spaces. Two texts that differ in spaces and case are one
// number.
type Number string

var (
	numberPattern = regexp.MustCompile("^[A-Z0-9]{8,34}$")
	errNumber     = errors.New("must be 8 to 34 letters and digits; spaces don't count")
)

// ParseNumber reads a number as people write numbers.
func ParseNumber(text string) (Number, error) {
	text = strings.ToUpper(strings.ReplaceAll(text, " ", ""))
	if !numberPattern.MatchString(text) {
		return "", errNumber
	}
	return Number(text), nil
}

// UnmarshalJSON reads a number from a command, and refuses any other value.
func (n *Number) UnmarshalJSON(data []byte) error {
	var given string
	if err := json.Unmarshal(data, &given); err != nil {
		return errNumber
	}
	number, err := ParseNumber(given)
	*n = number
	return err
}

// Schema is the JSON Schema of a number.
func (Number) Schema() map[string]any {
	return map[string]any{
		"description": "The number of an account. Spaces and case don't count.",
		"type":        "string", "pattern": "^ *([A-Za-z0-9] *){8,34}$",
		"examples": []any{"DE02 1203 0000 0000 2020 51"},
	}
}
