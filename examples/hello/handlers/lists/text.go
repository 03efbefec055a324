package lists

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is a title, or the name of an item: 1 to 200 characters on one line,
// trimmed of white space.
type Text string

const maxText = 200

var errText = errors.New("must be a string of 1 to 200 characters on one line")

// UnmarshalJSON reads a text from a command, and refuses any other value.
func (t *Text) UnmarshalJSON(data []byte) error {
	var given string
	if err := json.Unmarshal(data, &given); err != nil {
		return errText
	}
	given = strings.TrimSpace(given)
	if given == "" || utf8.RuneCountInString(given) > maxText || strings.ContainsFunc(given, unicode.IsControl) {
		return errText
	}
	*t = Text(given)
	return nil
}

// Schema is the JSON Schema of a text.
func (Text) Schema() map[string]any {
	return map[string]any{
		"description": "1 to 200 characters on one line. White space around the text is removed.",
		"type":        "string", "minLength": 1, "pattern": `\S`,
		"examples": []any{"milk"},
	}
}
