package config

import (
	"fmt"
	"io"
)

// masked is what is written in the place of a secret.
const masked = "***"

// Secret is a string that fmt, slog, JSON and YAML write as ***, or as nothing
// when it is empty. Convert it to a string where it is used.
type Secret string

func (s Secret) mask() string {
	if s == "" {
		return ""
	}
	return masked
}

// Format implements fmt.Formatter, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.mask()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.mask()), nil }
