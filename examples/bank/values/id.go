package values

import (
	"encoding/json"
	"errors"
	"regexp"
)

// ID is the id of an account or of a transfer: a word for a URL, such as
// "alice".
type ID string

const (
	maxID  = 64
	idForm = "^[a-z0-9]+(-[a-z0-9]+)*$"
)

var (
	idPattern = regexp.MustCompile(idForm)
	errID     = errors.New("must be 1 to 64 lower-case letters and digits, in parts joined by hyphens")
)

// ParseID checks the text of an id.
func ParseID(text string) (string, error) {
	if len(text) > maxID || !idPattern.MatchString(text) {
		return "", errID
	}
	return text, nil
}

// UnmarshalJSON reads an id from a command, and refuses any other value: an id
// inside a command becomes the address of another command later.
func (id *ID) UnmarshalJSON(data []byte) error {
	var given string
	if err := json.Unmarshal(data, &given); err != nil {
		return errID
	}
	text, err := ParseID(given)
	*id = ID(text)
	return err
}

// Schema is the JSON Schema of an id.
func (ID) Schema() map[string]any {
	return map[string]any{
		"description": "The id of an account or of a transfer, for a URL.",
		"type":        "string", "maxLength": maxID, "pattern": idForm,
		"examples": []any{"alice"},
	}
}
