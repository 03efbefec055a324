package web

import "net/http"

// CommandRefused is the problem of a command that a rule refused, and the one
// place where refusals become HTTP. Slug and detail are the refusal's.
func CommandRefused(commandID, slug, detail string) *Problem {
	p := &Problem{Slug: slug, Status: http.StatusConflict, Title: "Command refused", Detail: detail, ID: commandID}
	switch slug {
	case "user-not-found":
		p.Status = http.StatusNotFound
	case "version-mismatch":
		p.Status = http.StatusPreconditionFailed
	}
	return p
}
