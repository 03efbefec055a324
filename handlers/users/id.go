package users

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// ID is the id of a user, as a text. In JSON an id that reads as an integer from
// 0 to 2^53-1 in canonical form is a number, and any other id is a string: 1 and
// "1" are the same user.
type ID string

const maxIDLength = 128

// ErrID says which user ids are allowed.
var ErrID = errors.New("must be an integer from 0 to 9007199254740991, or a string of 1 to 128 characters without control characters, other than one dot and two dots")

// ParseID checks the text of a user id, as in a path.
func ParseID(text string) (ID, error) {
	switch text {
	case "", ".", "..": // clients and proxies take dots for steps in a path
		return "", ErrID
	}
	if !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxIDLength {
		return "", ErrID
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return "", ErrID
		}
	}
	return ID(text), nil
}

// Schema is the JSON Schema of the ids that [ID.UnmarshalJSON] takes, without
// numbers with a sign, a fraction or an exponent.
func (ID) Schema() map[string]any {
	return map[string]any{
		"description": "A user's id. 1 and \"1\" are the same: what reads as an integer in canonical form is written as a number. " +
			"Numbers come without sign, fraction and exponent.",
		"examples": []any{1},
		"oneOf": []any{
			map[string]any{"type": "integer", "minimum": 0, "maximum": int64(1)<<53 - 1},
			map[string]any{
				"type": "string", "minLength": 1, "maxLength": maxIDLength, "pattern": "^[^" + controls + "]*$",
				"not": map[string]any{"enum": []any{".", ".."}},
			},
		},
	}
}

// controls and spaces are the characters of [unicode.IsControl] and
// [unicode.IsSpace], for the inside of a character class in any dialect of
// regular expressions.
const (
	controls = "\x00-\x1F\x7F-\u009F"
	spaces   = "\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"
)

// Number returns the id as an integer, and false for any other id.
func (id ID) Number() (uint64, bool) {
	// Every JSON reader holds integers up to 2^53-1 exactly (RFC 8259, section 6).
	if len(id) == 0 || len(id) > 16 || (id[0] == '0' && len(id) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(id), 10, 53)
	if err != nil {
		return 0, false
	}
	return n, true
}

// SortKey is a text for sorting users bytewise: integers come first, in order,
// then strings bytewise.
func (id ID) SortKey() string {
	if _, ok := id.Number(); ok { // in 16 digits
		return "0" + "0000000000000000"[len(id):] + string(id)
	}
	return "1" + string(id)
}

// MarshalJSON writes a number or a string.
func (id ID) MarshalJSON() ([]byte, error) {
	if _, ok := id.Number(); ok {
		return []byte(id), nil
	}
	// The encoder around escapes HTML, or does not.
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(string(id))
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// UnmarshalJSON reads a number in canonical form, or a string.
func (id *ID) UnmarshalJSON(data []byte) error {
	text, plain := plainText(data)
	switch {
	case plain:
	case len(data) > 0 && data[0] == '"':
		var given string // text itself would need memory of its own
		if err := json.Unmarshal(data, &given); err != nil {
			return ErrID
		}
		text = given
	default:
		text = string(data)
		if _, ok := ID(text).Number(); !ok {
			return ErrID
		}
	}
	parsed, err := ParseID(text)
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// plainText is the text of a JSON string without escapes, as nearly all strings
// are. encoding/json, which reads the other strings, takes several times as
// long.
func plainText(data []byte) (text string, ok bool) {
	n := len(data)
	if n < 2 || data[0] != '"' || data[n-1] != '"' {
		return "", false
	}
	for _, c := range data[1 : n-1] {
		if c < ' ' || c > '~' || c == '\\' || c == '"' {
			return "", false
		}
	}
	return string(data[1 : n-1]), true
}
