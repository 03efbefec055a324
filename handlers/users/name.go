package users

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Name is the name of a user: 1 to 200 characters, trimmed of white space,
// without control characters.
type Name string

const maxNameLength = 200

// ErrName says which names are allowed.
var ErrName = errors.New("must be a string of 1 to 200 characters after trimming, without control characters")

// ParseName trims and checks a name.
func ParseName(text string) (Name, error) {
	text = strings.TrimSpace(text)
	if n := utf8.RuneCountInString(text); n < 1 || n > maxNameLength || !utf8.ValidString(text) {
		return "", ErrName
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "", ErrName
	}
	return Name(text), nil
}

// Schema is the JSON Schema of the names that [Name.UnmarshalJSON] takes.
func (Name) Schema() map[string]any {
	inside, edge := "[^"+controls+"]", "[^"+controls+spaces+"]"
	return map[string]any{
		"description": fmt.Sprintf("A name: 1 to %d characters after trimming of white space, without control characters.", maxNameLength),
		"type":        "string",
		"examples":    []any{"Alice"},
		"pattern":     fmt.Sprintf("^[%s]*%s(%s{0,%d}%s)?[%s]*$", spaces, edge, inside, maxNameLength-2, edge, spaces),
	}
}

// UnmarshalJSON reads, trims and checks a string.
func (n *Name) UnmarshalJSON(data []byte) error {
	text, plain := plainText(data)
	if !plain {
		var given *string
		if err := json.Unmarshal(data, &given); err != nil || given == nil {
			return ErrName
		}
		text = *given
	}
	name, err := ParseName(text)
	if err != nil {
		return err
	}
	*n = name
	return nil
}
