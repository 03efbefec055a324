package query

import (
	"encoding/base64"
	"errors"
)

// cursorVersion is the first byte of every cursor. Another layout gets another
// byte.
const cursorVersion = "\x01"

// EncodeCursor makes a cursor of the key of a page's last entry, for
// [Reader.LinkNext]. Clients send the cursor back unchanged, and don't look
// inside. Clients keep cursors over upgrades of a service, so the keys keep
// their form.
func EncodeCursor(key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + key))
}

// ErrCursor is the error of a wrong cursor, in words for the Detail of a
// [web.FieldError].
var ErrCursor = errors.New("must be a cursor as the Link header gave it")

// DecodeCursor returns the key in a cursor, or [ErrCursor]. A client can make
// cursors without EncodeCursor, so the caller checks the key as any other input.
func DecodeCursor(cursor string) (key string, err error) {
	token, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(token) == 0 || string(token[:1]) != cursorVersion {
		return "", ErrCursor
	}
	key = string(token[1:])
	if EncodeCursor(key) != cursor {
		return "", ErrCursor
	}
	return key, nil
}
