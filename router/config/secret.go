package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// masked stands in the place of a secret.
const masked = "***"

// Secret is a string. fmt, slog, JSON and YAML write *** for a secret, and
// nothing for an empty one. Convert a secret to a string where the text is
// needed.
type Secret string

// ReadSecret returns the secret in a file, without the end of the last line.
func ReadSecret(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", errors.New("cannot be read: " + cause(err))
	}
	secret := strings.TrimRight(string(content), "\r\n")
	if secret == "" {
		return "", errors.New("is an empty file")
	}
	return secret, nil
}

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
