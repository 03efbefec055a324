package handlers

import (
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
		for preference := range strings.SplitSeq(field, ",") {
			preference, _, _ = strings.Cut(preference, ";")
			name, value, _ := strings.Cut(preference, "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			value = strings.Trim(strings.TrimSpace(value), `"`)
			seconds, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return 0
			}
			return min(time.Duration(seconds)*time.Second, maxWait)
		}
	}
	return 0
}
