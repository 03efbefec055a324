package documents

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/handlers"
	"github.com/millrace/millrace/web"
)

// meanings are the problems that are not refusals of the domain, in words.
var meanings = map[string]string{
	"certificate-required":   "a client certificate is needed here",
	"command-id-reused":      "this user had another command with this id; that one stays as it is",
	"command-not-found":      "Kafka doesn't hold such a command of this user",
	"command-parked":         "the command could not be decided, and waits for an operator",
	"insufficient-scope":     "the token doesn't allow this",
	"internal":               "a fault of the service",
	"invalid-request":        "the request is wrong at the places in `errors`",
	"not-found":              "there is nothing at this path",
	"overloaded":             "too much is under way; safe to send again, with the command id in `id`",
	"too-large":              "the command is over 64 KiB",
	"too-many-requests":      "this caller is over a limit",
	"unauthorized":           "there is no good token",
	"unavailable":            "something is away; safe to ask again, a command with the command id in `id`",
	"unsupported-media-type": "the body is neither JSON nor NDJSON, in UTF-8, as it is",
	"user-deleted":           "the user is deleted, and the id is never used again",
	"user-not-found":         "there is no such user",
}

// everywhere are the problems that any operation may be answered with, unless
// x-everywhere says which of them.
var everywhere = map[string][]string{
	"400": {"invalid-request"},
	"401": {"unauthorized"},
	"403": {"insufficient-scope"},
	"429": {"too-many-requests"},
	"500": {"internal"},
	"503": {"unavailable"},
}

// addProblems makes the answers of an operation that are problems.
func addProblems(operation object) {
	byStatus := map[string][]string{}
	own, _ := operation["x-problems"].(object)
	for status, slugs := range own {
		for _, slug := range as[[]any](slugs) {
			byStatus[status] = append(byStatus[status], as[string](slug))
		}
	}
	headers, _ := operation["x-problem-headers"].(object)
	delete(operation, "x-problems")
	few, some := operation["x-everywhere"].([]any)
	delete(operation, "x-problem-headers")
	delete(operation, "x-everywhere")
	for status, slugs := range everywhere {
		if !some || slices.Contains(few, any(status)) {
			byStatus[status] = append(byStatus[status], slugs...)
		}
	}
	responses := as[object](operation["responses"])
	for status, slugs := range byStatus {
		responses[status] = problemResponse(status, slugs, headers)
	}
}

// problemResponse describes the problems of one status. REFUSALS stands for
// those refusals that have it.
func problemResponse(status string, slugs []string, more object) object {
	code, err := strconv.Atoi(status)
	if err != nil {
		panic(err) // openapi.yaml has it wrong
	}
	var words []string
	var types []any
	add := func(slug, meaning string) {
		words = append(words, "`"+slug+"`: "+meaning)
		types = append(types, "urn:millrace:problem:"+slug)
	}
	for _, slug := range slugs {
		if slug != "REFUSALS" {
			add(slug, meanings[slug])
			continue
		}
		for _, no := range handlers.Refusals() {
			if web.CommandRefused("", no.Slug, no.Detail).Status == code {
				add(no.Slug, no.Detail)
			}
		}
	}
	headers := object{}
	for name, header := range more {
		headers[name] = header
	}
	switch status {
	case "401":
		headers["WWW-Authenticate"] = object{"$ref": "#/components/headers/WWWAuthenticate"}
	case "403":
		headers["WWW-Authenticate"] = object{"$ref": "#/components/headers/WWWAuthenticateOfToken"}
	case "429", "503":
		headers["Retry-After"] = object{"$ref": "#/components/headers/RetryAfter"}
	}
	slices.Sort(words)
	response := object{
		"description": strings.Join(words, "; ") + ".",
		"content": object{"application/problem+json": object{"schema": object{"allOf": []any{
			ref("Problem"),
			object{"properties": object{"type": object{"enum": types}, "status": object{"const": code}}},
		}}}},
	}
	if len(headers) > 0 {
		response["headers"] = headers
	}
	return response
}
