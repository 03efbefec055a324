package users

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
)

// Email is the email address of a user, or "" for no address. An address has at
// most 254 ASCII characters without spaces, and one @ between two parts.
type Email string

// maxEmailLength is the longest path of RFC 5321, without the angle brackets.
const maxEmailLength = 254

// ErrEmail says which addresses are allowed.
var ErrEmail = errors.New("must be an empty string, or a string of at most 254 ASCII characters without spaces, with one @ between two parts")

// ParseEmail checks an address.
func ParseEmail(text string) (Email, error) {
	if text == "" {
		return "", nil
	}
	if len(text) > maxEmailLength || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", ErrEmail
	}
	local, domain, _ := strings.Cut(text, "@")
	if local == "" || domain == "" || strings.Contains(domain, "@") {
		return "", ErrEmail
	}
	return Email(text), nil
}

// claims is the claim on an address. Addresses are compared without case, for
// nearly every mail server ignores case.
func (e Email) claims() []aggregate.Claim {
	if e == "" {
		return nil
	}
	return []aggregate.Claim{{Name: "email", Value: strings.ToLower(string(e)), Refusal: ErrEmailTaken}}
}

// Schema is the JSON Schema of the addresses that [Email.UnmarshalJSON] takes.
func (Email) Schema() map[string]any {
	return map[string]any{
		"description": fmt.Sprintf("An email address of at most %d ASCII characters, or an empty string for none. "+
			"No two users have the same address; upper and lower case are the same.", maxEmailLength),
		"type":      "string",
		"examples":  []any{"alice@example.org"},
		"maxLength": maxEmailLength,
		"pattern":   "^([!-?A-~]+@[!-?A-~]+)?$",
	}
}

// UnmarshalJSON reads and checks a string.
func (e *Email) UnmarshalJSON(data []byte) error {
	text, plain := plainText(data)
	if !plain {
		var given *string
		if err := json.Unmarshal(data, &given); err != nil || given == nil {
			return ErrEmail
		}
		text = *given
	}
	email, err := ParseEmail(text)
	if err != nil {
		return err
	}
	*e = email
	return nil
}
