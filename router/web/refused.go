package web

import (
	"net/http"

	"github.com/millrace/millrace/router/aggregate"
)

// CommandRefused returns the problem of a refused command. No other place turns
// refusals into HTTP.
func CommandRefused(commandID string, r *aggregate.Refusal) *Problem {
	return &Problem{Slug: r.Slug, Status: RefusalStatus(r.Kind), Title: "Command refused", Detail: r.Detail, ID: commandID}
}

// RefusalStatus returns the HTTP status of a kind of refusal (RFC 9110, section
// 15.5).
func RefusalStatus(kind aggregate.Kind) int {
	switch kind {
	case aggregate.NotFound:
		return http.StatusNotFound
	case aggregate.Gone:
		return http.StatusGone
	case aggregate.PreconditionFailed:
		return http.StatusPreconditionFailed
	case aggregate.Invalid:
		return http.StatusBadRequest
	default:
		return http.StatusConflict
	}
}
