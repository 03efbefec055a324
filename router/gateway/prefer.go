package gateway

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxWait is the longest wait for an outcome.
const maxWait = 30 * time.Second

// preferredWait is the time that a client wants to wait for the outcome
// (Prefer: wait=N, RFC 7240, section 4.3), 0 for no wait. As in the RFC,
// malformed preferences are ignored, and the first of repeated preferences
// counts.
func preferredWait(h http.Header) time.Duration {
	for _, field := range h.Values("Prefer") {
		for more := true; more; {
			var preference string
			preference, field, more = cutUnquoted(field, ',')
			preference, _, _ = cutUnquoted(preference, ';') // without its parameters
			name, value, _ := strings.Cut(preference, "=")
			if strings.EqualFold(strings.Trim(name, " \t"), "wait") {
				return waitOf(strings.Trim(value, " \t"))
			}
		}
	}
	return 0
}

// applyWait tells a client that the preference counts.
func applyWait(h http.Header, wait time.Duration) {
	if wait > 0 {
		h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
}

// waitOf reads seconds, bare or quoted. Digits in quotes need no unescaping.
func waitOf(value string) time.Duration {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // a number out of range is a long wait
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxWait)
}

// cutUnquoted is [strings.Cut], but ignores separators in quoted strings (RFC
// 9110, section 5.6.4).
func cutUnquoted(s string, separator byte) (before, after string, found bool) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == separator:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}
