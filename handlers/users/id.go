package users

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// ID names a user, by its text. On the wire it is a JSON number when it reads
// as an integer from 0 to 2^53-1 in canonical form, and a JSON string
// otherwise: 1 and "1" are the same user.
type ID string

const maxIDLength = 128

// ErrID says what a user id may be.
var ErrID = errors.New("must be an integer from 0 to 9007199254740991, or a string of 1 to 128 characters without control characters, other than one dot and two dots")

// ParseID checks a user id's text, as it stands in a path.
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

// Schema is the JSON Schema of what [ID.UnmarshalJSON] takes, but for numbers
// with a sign, a fraction or an exponent.
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

// controls and spaces are for the inside of a character class, in any dialect
// of regular expressions: what [unicode.IsControl] and [unicode.IsSpace] say.
const (
	controls = "\x00-\x1F\x7F-\u009F"
	spaces   = "\t-\r \u0085\u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000"
)

// Number returns the id as an integer, and whether it is one.
func (id ID) Number() (uint64, bool) {
	// 2^53-1 has 16 digits: what every JSON reader holds exactly (RFC 8259, 6).
	if len(id) == 0 || len(id) > 16 || (id[0] == '0' && len(id) > 1) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(id), 10, 53)
	if err != nil {
		return 0, false
	}
	return n, true
}

// SortKey is a text that sorts bytewise as users are listed: integers first,
// in order, then strings bytewise.
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
	// Escaping HTML is up to the encoder around: what is escaped in here stays so.
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
		if err := json.Unmarshal(data, &text); err != nil {
			return ErrID
		}
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

// plainText is the text of a JSON string that needs no unescaping, as nearly
// all are. encoding/json, which reads the others, takes several times as long.
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
