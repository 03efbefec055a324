package lists

import (
	"errors"
	"regexp"
)

// ID is the id of a list: a word for a URL, such as "groceries".
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

// Schema is the JSON Schema of an id.
func (ID) Schema() map[string]any {
	return map[string]any{
		"description": "The id of a list, for a URL.",
		"type":        "string", "maxLength": maxID, "pattern": idForm,
		"examples": []any{"groceries"},
	}
}
