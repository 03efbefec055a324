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

// preferredWait is how long a client wants to wait for the outcome (Prefer:
// wait=N, RFC 7240, section 4.3), 0 for not at all. What is malformed is
// ignored, and of preferences that are repeated the first counts, as the RFC
// has it.
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

// applyWait tells a client that its preference counts.
func applyWait(h http.Header, wait time.Duration) {
	if wait > 0 {
		h.Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
}

// waitOf reads seconds, bare or quoted. What stands in the quotes needs no
// unescaping: digits don't.
func waitOf(value string) time.Duration {
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	seconds, err := strconv.ParseUint(value, 10, 32)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // what is out of range is long
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxWait)
}

// cutUnquoted is [strings.Cut], but passes over what stands in a quoted
// string (RFC 9110, section 5.6.4).
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
