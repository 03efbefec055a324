package documents

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/web"
)

// ofRouter are the problems of the router in words, without refusals.
var ofRouter = map[string]string{
	"certificate-required":   "a client certificate is needed here",
	"command-id-reused":      "this stream had another command with this id; the first command stays as it is",
	"command-not-found":      "Kafka doesn't hold such a command of this stream",
	"command-parked":         "the command could not be decided, and waits for an operator",
	"cross-site":             "a page of another address makes the request",
	"insufficient-scope":     "the token doesn't allow this",
	"internal":               "a fault of the service",
	"invalid-request":        "the request is wrong at the places in `errors`",
	"not-found":              "there is nothing at this path",
	"overloaded":             "too much is under way; safe to send again, with the command id in `id`",
	"too-large":              "the command is over 64 KiB",
	"unknown-host":           "the header `Host` has a name that this address doesn't have; see `admin.public_url`",
	"too-many-requests":      "this caller is over a limit",
	"unauthorized":           "there is no good token",
	"unavailable":            "a part of the service is away; safe to ask again, and to send a command again with the command id in `id`",
	"unsupported-media-type": "the body is neither JSON nor NDJSON, in UTF-8, without encoding",
}

// everywhere are the problems of every operation, unless x-everywhere names some
// of the statuses.
var everywhere = map[string][]string{
	"400": {"invalid-request"},
	"401": {"unauthorized"},
	"403": {"insufficient-scope"},
	"429": {"too-many-requests"},
	"500": {"internal"},
	"503": {"unavailable"},
}

// meanings are problems in words, by slug.
type meanings struct {
	words    map[string]string
	refusals []*aggregate.Refusal // for commands
}

// meaningsOf are the problems of a service.
func meaningsOf(d Description, families []family) *meanings {
	m := &meanings{words: maps.Clone(ofRouter), refusals: slices.Clone(d.Refusals)}
	for i := range families {
		m.words[families[i].Name()+"-not-found"] = "there is no such " + families[i].Name()
		m.refusals = append(m.refusals, families[i].Refusals()...)
	}
	for _, refusal := range m.refusals {
		m.words[refusal.Slug] = refusal.Detail
	}
	return m
}

// addProblems adds the answers with problems to an operation. own are the words
// for problems of this operation only.
func (m *meanings) addProblems(operation object, own map[string]string) error {
	words := maps.Clone(m.words)
	maps.Copy(words, own)
	byStatus := map[string][]string{}
	problems, _ := operation["x-problems"].(object)
	for status, slugs := range problems {
		for _, slug := range as[[]any](slugs) {
			byStatus[status] = append(byStatus[status], as[string](slug))
		}
	}
	if operation["x-refusals"] == true {
		for _, refusal := range m.refusals {
			status := strconv.Itoa(web.RefusalStatus(refusal.Kind))
			byStatus[status] = append(byStatus[status], refusal.Slug)
		}
	}
	headers, _ := operation["x-problem-headers"].(object)
	few, some := operation["x-everywhere"].([]any)
	for _, member := range []string{"x-problems", "x-refusals", "x-problem-headers", "x-everywhere"} {
		delete(operation, member)
	}
	for status, slugs := range everywhere {
		if !some || slices.Contains(few, any(status)) {
			byStatus[status] = append(byStatus[status], slugs...)
		}
	}
	responses := as[object](operation["responses"])
	for status, slugs := range byStatus {
		if _, twice := responses[status]; twice {
			return fmt.Errorf("the answer %s is described, and is a problem", status)
		}
		for _, slug := range slugs {
			if words[slug] == "" {
				return fmt.Errorf("nothing says what problem %q means: x-meanings has to", slug)
			}
		}
		responses[status] = problemResponse(status, slugs, words, headers)
	}
	return nil
}

// problemResponse describes the problems of one status.
func problemResponse(status string, slugs []string, words map[string]string, more object) object {
	code, err := strconv.Atoi(status)
	if err != nil {
		panic(err) // a mistake in openapi.yaml: fragments were checked
	}
	var texts []string
	var types []any
	for _, slug := range slugs {
		texts = append(texts, "`"+slug+"`: "+words[slug])
		types = append(types, "urn:millrace:problem:"+slug)
	}
	headers := maps.Clone(more)
	if headers == nil {
		headers = object{}
	}
	switch status {
	case "401":
		headers["WWW-Authenticate"] = object{"$ref": "#/components/headers/WWWAuthenticate"}
	case "403":
		headers["WWW-Authenticate"] = object{"$ref": "#/components/headers/WWWAuthenticateOfToken"}
	case "429", "503":
		headers["Retry-After"] = object{"$ref": "#/components/headers/RetryAfter"}
	}
	slices.Sort(texts)
	response := object{
		"description": strings.Join(texts, "; ") + ".",
		"content": object{"application/problem+json": object{"schema": object{"allOf": []any{
			ref("Problem"),
			object{"properties": object{"type": object{"type": "string", "enum": types}, "status": object{"type": "integer", "enum": []int{code}}}},
		}}}},
	}
	if len(headers) > 0 {
		response["headers"] = headers
	}
	return response
}
